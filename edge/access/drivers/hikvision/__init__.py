"""A Hikvision door terminal or intercom, over ISAPI; a reader's channel is the door's number."""
