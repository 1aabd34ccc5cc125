"""The detectors: a manifest, weights, the recipe that makes them, decoding and evaluation. Imports neither `edge` nor `cloud`."""
