"""Live video: on the hub's order a camera's packets go out, repackaged and never encoded again, while somebody watches.

`tap` keeps each stream's last group of pictures, `fragments` writes fragmented MP4, `budget` minds the uplink,
`upstream` sends one watched stream, `stills` makes pictures, `desk` follows orders, `link` holds the connection.
"""
