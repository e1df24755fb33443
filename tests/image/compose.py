"""What tests/image/run.sh asks of compose.yaml.

compose.py images FILE                        a line for each service with an image: its name, the image
compose.py run FILE SERVICE OWN VOLUMES       the arguments of `podman run` for it, each with a NUL behind it: OWN is the image of a
                                              service that is built, and VOLUMES the directory of named volumes
compose.py loopback                           brings the loopback device of this network namespace up

A member of a service that is not known here is an error, so that nothing that the file says is left untried. The network is the
one thing that differs: all services share one, so `ports` and `network_mode` are only checked.
"""

import fcntl
import socket
import struct
import sys
from pathlib import Path


def loopback() -> None:
    """SIOCSIFFLAGS with IFF_UP: iproute2 may not be there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        fcntl.ioctl(own, 0x8914, struct.pack("16sH14x", b"lo", 1))


def arguments(file: Path, name: str, own_image: str, volumes: Path) -> list[str]:
    import yaml

    document = yaml.safe_load(file.read_text())
    service = dict(document["services"][name])
    args: list[str] = []
    image = service.pop("image", None)
    if image is None:
        build = service.pop("build")
        assert build == {"context": ".", "dockerfile": "docker/Dockerfile"}, build
        image = own_image
    for variable, value in service.pop("environment", {}).items():
        args += ["--env", f"{variable}={value}"]
    for volume in service.pop("volumes", []):
        source, target, *mode = volume.split(":")
        if source in document["volumes"]:
            path = volumes / source
            path.mkdir(exist_ok=True)
        else:
            path = (file.parent / source).resolve()
            assert path.exists(), f"{path} is not there"
        args += ["--volume", ":".join([str(path), target, *mode])]
    for other in service.pop("depends_on", []):
        assert other in document["services"], other
    network = service.pop("network_mode", None)
    assert network in (None, "service:plank"), network
    for port in service.pop("ports", []):
        assert port == "127.0.0.1:8000:80", port
    # tests/image/run.sh sets it, to what this machine allows.
    assert service.pop("ulimits", {}).keys() <= {"nofile"}
    assert service.pop("restart") == "unless-stopped"
    assert service.pop("stop_grace_period", "15s") == "15s"
    if service.pop("read_only", False):
        # podman mounts /tmp and others for a container that is read-only; Docker does not.
        args += ["--read-only", "--read-only-tmpfs=false"]
    for capability in service.pop("cap_drop", []):
        args += ["--cap-drop", capability]
    for option in service.pop("security_opt", []):
        args += ["--security-opt", option.replace(":true", "")]
    assert not service, f"{name} has {sorted(service)}, which this test does not know"
    return [*args, f"docker.io/library/{image}" if "/" not in image else image]


def main() -> None:
    match sys.argv[1:]:
        case ["loopback"]:
            loopback()
        case ["images", file]:
            import yaml

            for name, service in yaml.safe_load(Path(file).read_text())["services"].items():
                if "image" in service:
                    print(name, service["image"])
        case ["run", file, name, own_image, volumes]:
            for argument in arguments(Path(file).resolve(), name, own_image, Path(volumes)):
                sys.stdout.write(argument + "\0")
        case _:
            sys.exit(__doc__)


main()
