"""Makes what is derived from the .proto files.

write   the generated code beside each .proto, wellknown.binpb and commented.binpb
check   fails, naming the files, where what is committed differs from what write would make
image   one descriptor set of every .proto, with imports and comments, for `buf lint` and `buf breaking`
"""

import argparse
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import any_pb2, duration_pb2, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_tools import protoc

ROOT = Path(__file__).parent
# googleapis-common-protos brings google/api/*.proto beside the modules made from them.
GOOGLE = Path(status_pb2.__file__).parents[2]
WELLKNOWN = Path("mimic/launch/wellknown.binpb")
COMMENTED = Path("mimic/v1/commented.binpb")


def _protoc(*arguments: str) -> None:
    status = protoc.main(
        [
            "protoc",
            f"-I{ROOT}",
            f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
            f"-I{GOOGLE}",
            *(f"--plugin={path}" for path in Path(sys.executable).parent.glob("protoc-gen-mypy*")),
            *arguments,
        ]
    )
    if status:
        sys.exit(status)


def _sources() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("mimic/**/*.proto"))


def write_image(out: Path) -> FileDescriptorSet:
    """Writes the descriptor set of every .proto, with imports and comments, and returns it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    _protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={out}", *_sources())
    return FileDescriptorSet.FromString(out.read_bytes())


def _derive() -> dict[Path, bytes]:
    """What every derived file should hold, by its path under proto/."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        image = write_image(out / "image.binpb")
        sources = _sources()
        _protoc(f"--python_out={out}", f"--mypy_out=quiet:{out}", *sources)
        # Modules for files without a service would hold nothing but a version check.
        with_services = [file.name for file in image.file if file.service and file.name in sources]
        _protoc(f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *with_services)
        derived = {path.relative_to(out): path.read_bytes() for path in out.glob("mimic/**/*_pb2*")}
    return derived | {
        WELLKNOWN: _wellknown().SerializeToString(deterministic=True),
        COMMENTED: _commented(image).SerializeToString(deterministic=True),
    }


def _commented(image: FileDescriptorSet) -> FileDescriptorSet:
    """Our own files with their comments, which generated code leaves out: help texts are made of them."""
    ours = FileDescriptorSet(file=[file for file in image.file if file.name.startswith("mimic/")])
    for file in ours.file:
        commented = [place for place in file.source_code_info.location if place.leading_comments]
        del file.source_code_info.location[:]
        file.source_code_info.location.extend(commented)
        for place in file.source_code_info.location:
            place.ClearField("span")
    return ours


def _wellknown() -> FileDescriptorSet:
    """What every adapter speaks beside its contract: health, reflection, and errors in detail.

    The SDK reads these into a descriptor pool of its own, and so needs none of the distributions that carry
    them; of its own, because those register the same names in the default one. Each file follows its imports.
    """
    status, details, health, alpha = (
        FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for module in (status_pb2, error_details_pb2, health_pb2, reflection_pb2)
    )
    # The Python distributions moved them; every other language knows them by these names.
    health.name = "grpc/health/v1/health.proto"
    alpha.name = "grpc/reflection/v1alpha/reflection.proto"
    # grpcio-reflection carries v1alpha alone; v1 is the same file under another package.
    v1 = text_format.Parse(text_format.MessageToString(alpha).replace("v1alpha", "v1"), FileDescriptorProto())
    v1.options.ClearField("deprecated")
    imported = (
        FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb) for module in (any_pb2, duration_pb2)
    )
    return FileDescriptorSet(file=[*imported, status, details, health, alpha, v1])


def _committed() -> dict[Path, bytes]:
    derived = (path for path in ROOT.glob("mimic/**/*") if "_pb2" in path.name or path.suffix == ".binpb")
    paths = (path for path in derived if path.suffix != ".pyc")
    return {path.relative_to(ROOT): path.read_bytes() for path in paths if path.is_file()}


def main() -> None:
    """Does what the command line asks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write")
    commands.add_parser("check")
    commands.add_parser("image").add_argument("out", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "image":
        write_image(arguments.out)
        return
    derived, committed = _derive(), _committed()
    drift = sorted(path for path in derived.keys() | committed if derived.get(path) != committed.get(path))
    if arguments.command == "check" and drift:
        sys.exit(f"Differs from what the .proto files give; run make proto: {', '.join(map(str, drift))}")
    for path in drift:
        if path in derived:
            (ROOT / path).write_bytes(derived[path])
        else:
            (ROOT / path).unlink()


if __name__ == "__main__":
    main()
