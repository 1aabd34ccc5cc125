"""Speaking ONVIF to one device over HTTP, for doors (`edge.access.drivers.onvif`) and cameras (`edge.cameras`)."""
