"""Kill, starve and deceive the real processes under load: nothing committed is lost or doubled."""
