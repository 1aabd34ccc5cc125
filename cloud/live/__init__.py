"""New events, door states and command outcomes, told to every open console page as they come.

Reads the database, so it needs no trust in what woke it; writes nothing. No full name, number of an identity document,
card number or category is ever read here.
"""
