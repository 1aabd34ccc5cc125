"""Alarms: raised by rules, handled by people, climbing from the guard post to the district until somebody does.

`states` has the words and moves, `desk` what people do, `tracker` what findings do, `escalation` what the clock does,
and `engine` runs them in the hub.
"""
