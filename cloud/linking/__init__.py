"""Links an event to the place, credential, person and dwelling that were so at the event's own time."""
