"""An S3 server with one empty bucket, `watershed`. Prints its URL, and ends with its standard input. What it is
asked for is written to the file that is named, a line each, before it is answered: the method, the path and the
bytes of the answer's body."""

import sys
import threading
import urllib.request

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


def noted(application, log):
    def answer(environ, start_response):
        body = application(environ, start_response)
        try:
            parts = list(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        log.write(f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {sum(map(len, parts))}\n")
        return parts

    return answer


def main():
    log = open(sys.argv[1], "a", buffering=1)
    application = noted(DomainDispatcherApplication(create_backend_app), log)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/watershed", method="PUT")).close()
    print(url, flush=True)
    sys.stdin.read()
    server.shutdown()


main()
