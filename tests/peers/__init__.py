"""What tests of several folders share: real peers, started and stopped."""
