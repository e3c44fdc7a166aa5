"""llama.cpp's own server on loopback, on one thread: `python llama_cpp_server.py GGUF PORT KEY`, until it is killed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path


def main(gguf: str, port: str, key: str) -> None:
    """Serve, as `llama-server --model GGUF --alias smollm2 --port PORT --api-key KEY --ctx-size 512` does."""
    import xllamacpp

    asked = xllamacpp.CommonParams()
    asked.model.path, asked.model_alias = gguf, {"smollm2"}
    asked.hostnames, asked.port, asked.api_keys = ["127.0.0.1"], int(port), [key]
    asked.n_ctx, asked.n_parallel, asked.warmup = 512, 1, False
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(asked)
    print(server.listening_address, flush=True)
    signal.pause()


def as_float32(source: Path, target: Path) -> Path:
    """Write a GGUF file's weights as the fp32 numbers that they stand for, which transformers computes with too.

    llama.cpp multiplies 4-bit weights with activations of 8 bits, which moves log-probabilities by 0.1 nats and more.
    """
    import gguf
    from gguf.quants import dequantize

    read = gguf.GGUFReader(source)
    written = gguf.GGUFWriter(target, read.fields["general.architecture"].contents())
    for name, field in read.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            written.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    written.add_file_type(0)
    for tensor in read.tensors:
        written.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type).astype("float32"))
    written.write_header_to_file()
    written.write_kv_data_to_file()
    written.write_tensors_to_file()
    written.close()
    return target


if __name__ == "__main__":
    main(*sys.argv[1:])
