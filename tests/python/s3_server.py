"""An S3 server with one empty bucket, `watershed`. Prints its URL, and ends with its standard input. What it is
asked for is written to the file that is named, a line each."""

import logging
import sys
import urllib.request

from moto.server import ThreadedMotoServer
from werkzeug.serving import WSGIRequestHandler


def main():
    log = open(sys.argv[1], "a", buffering=1)
    WSGIRequestHandler.log_request = lambda handler, *_: print(handler.command, handler.path, file=log)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/watershed", method="PUT")).close()
    print(url, flush=True)
    sys.stdin.read()
    server.stop()


main()
