"""Managing doors: what each asks for, who may pass when, passes, leases, and lockdowns."""
