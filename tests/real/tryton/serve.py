"""Serve the Tryton WSGI application: HTTP/1.1 keep-alive, several processes, several threads each.

trytond's own command serves with werkzeug's development server: one process, a thread per
connection, HTTP/1.0 (a connection per request).  Here gunicorn forks WORKERS processes after the
model pool is loaded.  usage: serve.py PORT WORKERS THREADS PORTFILE
PORT 0 lets the kernel choose; the port in use is written to PORTFILE before the first request.
TRYTOND_CONFIG and TRYTOND_DATABASE_NAMES come from start.sh.

The application is `app.py` beside this file: trytond's own, with its rollback on SQLite mended.
"""
import os
import socket
import sys

port, workers, threads, portfile = sys.argv[1:5]
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(('127.0.0.1', int(port)))
sock.set_inheritable(True)
with open(portfile + '.tmp', 'w') as f:
    f.write(str(sock.getsockname()[1]))
os.rename(portfile + '.tmp', portfile)
gunicorn = os.path.join(os.path.dirname(sys.executable), 'gunicorn')
os.execv(sys.executable, [
    sys.executable, gunicorn, '--preload', '-k', 'gthread', '-w', workers, '--threads', threads,
    '--bind', 'fd://%d' % sock.fileno(), '--timeout', '120', '--graceful-timeout', '2',
    '--keep-alive', '75', '--log-level', 'warning', '--no-control-socket',
    '--worker-tmp-dir', '/dev/shm' if os.path.isdir('/dev/shm') else '/tmp',
    '--chdir', os.path.dirname(os.path.abspath(__file__)), 'app:app'])
