"""Service categories of persons (renter, minimum living allowance, ...): dated entries that lapse by themselves.

Nothing about ethnicity, religion or belief is taken (`never`), no score is computed, and no rule can name a category.
"""
