"""Who is on duty: centres of three levels and guard posts, their rosters, who takes over from whom.

What is kept is who should be on duty and what was handed over. Nobody is clocked, counted or compared.
"""
