"""Stands before a server: takes TLS away with the certificate `CERT` and its `KEY`, and counts bytes.

Usage: front.py PORT TARGET_PORT COUNTS [CERT KEY]; bytes to and from the server are written into COUNTS now and then.
"""

import asyncio
import ssl
import sys

counts = [0, 0]


async def forward(reader, writer, which):
    try:
        while data := await reader.read(1 << 16):
            counts[which] += len(data)
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def main(port, target, path, certificate=None, key=None):
    async def serve(reader, writer):
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", int(target))
        except ConnectionError:
            writer.close()
            return
        await asyncio.gather(forward(reader, inner_writer, 0), forward(inner_reader, writer, 1))

    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        tls.set_alpn_protocols(["h2", "http/1.1"])
    await asyncio.start_server(serve, "127.0.0.1", int(port), ssl=tls)
    while True:
        with open(path, "w") as file:
            file.write(f"{counts[0]} {counts[1]}")
        await asyncio.sleep(0.2)


asyncio.run(main(*sys.argv[1:]))
