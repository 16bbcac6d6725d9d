// SPDX-License-Identifier: Apache-2.0
package sabir.harness;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Stands between clients and a broker, so that links can be cut at a chosen moment while both ends live, and so that
 * an address stays the same while the broker behind it comes and goes.
 */
public final class Gate implements AutoCloseable {
    private final ServerSocket server;
    private final int target;
    private final Set<Socket> links = ConcurrentHashMap.newKeySet();
    private volatile boolean answersPass = true;
    private volatile boolean open = true;

    /** A gate to a port of this machine. */
    public Gate(int target) {
        this.target = target;
        try {
            server = new ServerSocket(0, 200, InetAddress.getLoopbackAddress());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        run(this::accept);
    }

    /** Where clients connect to: tcp://HOST:PORT. */
    public String uri() {
        return "tcp://127.0.0.1:" + server.getLocalPort();
    }

    /** Cuts all links, without a farewell to anybody. */
    public void cut() {
        answersPass = true;
        links.forEach(Gate::reset);
        links.clear();
    }

    /** From now on, until the next cut, what the broker says is swallowed: requests get there, answers do not. */
    public void swallowAnswers() {
        answersPass = false;
    }

    /** Lets nobody in until it is opened again; links that stand are not touched. */
    public void shut() {
        open = false;
    }

    /** Lets clients in again. */
    public void open() {
        open = true;
    }

    @Override
    public void close() {
        try {
            server.close();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        cut();
    }

    private void accept() {
        while (!server.isClosed()) {
            try {
                Socket client = server.accept();
                if (open) {
                    connect(client);
                } else {
                    close(client);
                }
            } catch (IOException error) {
                // The gate was closed.
            }
        }
    }

    private void connect(Socket client) {
        try {
            Socket broker = new Socket(InetAddress.getLoopbackAddress(), target);
            client.setTcpNoDelay(true);
            broker.setTcpNoDelay(true);
            links.add(client);
            links.add(broker);
            run(() -> copy(client, broker, false));
            run(() -> copy(broker, client, true));
        } catch (IOException error) {
            // Nobody is behind the gate just now.
            close(client);
        }
    }

    private void copy(Socket from, Socket to, boolean answers) {
        byte[] bytes = new byte[64 * 1024];
        try {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int count = in.read(bytes); count >= 0; count = in.read(bytes)) {
                if (!answers || answersPass) {
                    out.write(bytes, 0, count);
                }
            }
        } catch (IOException error) {
            // One end is gone: so is the other in a moment.
        }
        close(from);
        close(to);
        links.remove(from);
        links.remove(to);
    }

    private static void run(Runnable task) {
        Thread thread = new Thread(task, "gate");
        thread.setDaemon(true);
        thread.start();
    }

    /** As when a machine is gone: nothing that is still to be sent is sent. */
    private static void reset(Socket socket) {
        try {
            socket.setSoLinger(true, 0);
        } catch (IOException error) {
            // It is closed already.
        }
        close(socket);
    }

    private static void close(Socket socket) {
        try {
            socket.close();
        } catch (IOException error) {
            // Nobody is left to be told.
        }
    }
}
