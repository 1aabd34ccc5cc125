"""The doors: configuration, the local credential store, the decision, the door state machine and the reader drivers.

Nothing on the way from a card to the strike waits for a network, a disk or the hub.
"""
