"""Tells people outside the console that there is an alarm: webhook, e-mail, WeCom, DingTalk, SMS.

`settings` is what an operator writes, `outbox` what is to be told to whom, `wording` the words, `channels` the ways
out, and `sender` drives them in the hub. The words are made from a few named fields; a person's are not among them.
"""
