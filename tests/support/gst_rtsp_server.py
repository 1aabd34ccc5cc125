"""GStreamer's RTSP server on loopback, one endless stream at /cam. Runs under the system's Python, which has `gi`."""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 the versions must be required first

ENDLESS = (
    "( multifilesrc location={path} loop=true ! video/x-h264,stream-format=byte-stream,framerate=10/1 ! "
    "h264parse config-interval=-1 ! video/x-h264,stream-format=avc,alignment=au ! rtph264pay name=pay0 pt=96 )"
)
SYNTHETIC = "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=10/1 ! {encode} )"
ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h264parse ! {loss} rtph264pay {pay}",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h265parse ! {loss} rtph265pay {pay}",
}
PAY = "name=pay0 pt=96"


def factory_for(arguments: argparse.Namespace) -> GstRtspServer.RTSPMediaFactory:
    """What makes the stream for a client; all share one."""
    factory = GstRtspServer.RTSPMediaFactory()
    if arguments.stream:
        factory.set_launch(ENDLESS.format(path=arguments.stream))
    else:
        loss = f"identity drop-probability={arguments.loss} !" if arguments.loss else ""
        factory.set_launch(SYNTHETIC.format(encode=ENCODERS[arguments.codec].format(loss=loss, pay=PAY)))
    factory.set_shared(True)
    if arguments.udp_alone:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    return factory


def demand_account(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    """Digest authentication: nobody else sees or starts the stream."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(2)  # GstRtsp.RTSPAuthMethod.DIGEST
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest(user, password, token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", required=True)
    parser.add_argument("--stream")
    parser.add_argument("--codec", default="h264")
    parser.add_argument("--loss", type=float, default=0.0, help="share of pictures that is lost on the way")
    parser.add_argument("--udp-alone", action="store_true")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    arguments = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    factory = factory_for(arguments)
    if arguments.user:
        demand_account(server, factory, arguments.user, arguments.password)
    server.get_mount_points().add_factory("/cam", factory)
    if server.attach(None) == 0:
        raise SystemExit(f"port {arguments.port} is taken")
    print("ready", flush=True)  # noqa: T201 the parent waits for this line
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
