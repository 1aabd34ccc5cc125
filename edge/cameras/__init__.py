"""What is asked of a camera beside its video: that it is there, what it offers, its motion, its clock, its masks."""
