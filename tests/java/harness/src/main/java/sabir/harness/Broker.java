// SPDX-License-Identifier: Apache-2.0
package sabir.harness;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/**
 * A broker: one that runs already, or a process with a data folder of its own that can be killed and started again.
 *
 * <p>A process says on standard output what it listens on and when it is ready; it is given port 0 and keeps what it got
 * when it is started again.
 */
public final class Broker implements AutoCloseable {
    /** Longer than starting, recovery included, or stopping takes on a busy machine. */
    public static final long PATIENCE_MS = 60_000;
    /**
     * How often brokers look for expired messages unless a test says otherwise. Seldom, so that what is found is found at
     * dispatch; but ActiveMQ now and then forgets to dispatch until it sweeps.
     */
    private static final long SWEEP_MS = Peer.isActiveMq() ? 1_000 : 30_000;

    /** What the users of a secured broker may do. */
    private static final String RIGHTS = """
            [{ destination = "queue://sales.#", allow = ["read", "write", "admin"], users = ["ann"] },
             { destination = "queue://public.#", allow = ["read", "write", "admin"], users = ["ann", "bob"] },
             { destination = "topic://$sabir.event.#", allow = ["read"], users = ["ann", "bob"] },
             { destination = "topic://$sabir.bridge", allow = ["read"], users = ["ann"] }]""";

    private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();
    private static Broker shared;

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> RUNNING.forEach(Process::destroyForcibly)));
    }

    private final Path data;
    private final long sweepMs;
    private final boolean secured;
    private final boolean activeMq;
    private boolean indexed = true;
    /** What a bridge is told besides: the address that it leads to, and the user that it logs in as. */
    private List<String> bridge = List.of();
    private Process process;
    private int port;
    private String uri;

    private Broker(String uri) {
        this.data = null;
        this.sweepMs = SWEEP_MS;
        this.secured = false;
        this.activeMq = Peer.isActiveMq();
        this.uri = uri;
    }

    private Broker(Path data, long sweepMs, boolean secured, boolean activeMq) {
        this.data = data;
        this.sweepMs = sweepMs;
        this.secured = secured;
        this.activeMq = activeMq;
    }

    /** The one that all tests share who do not harm it: that of SABIR_TEST_OPENWIRE_URI, or else a process. */
    public static synchronized Broker shared() {
        if (shared == null) {
            String uri = setting("SABIR_TEST_OPENWIRE_URI");
            shared = uri == null || Peer.isActiveMq() ? start() : new Broker(uri);
        }
        return shared;
    }

    /** A process of the test's own. */
    public static Broker start() {
        return start(SWEEP_MS);
    }

    /** A process of the test's own that looks for expired messages every `sweepMs`. */
    public static Broker start(long sweepMs) {
        return start(sweepMs, false);
    }

    /**
     * A process of the test's own where clients must log in: ann ("ann's secret") may do all with queues below sales and
     * public, bob ("bob's secret") with those below public alone. A bridge of ann's may forward in the names of others.
     */
    public static Broker secured() {
        return start(SWEEP_MS, true);
    }

    /** A process of the test's own whose Sabir makes no checkpoint: a start after a kill has the log and nothing else. */
    public static Broker withoutIndex() {
        try {
            Broker broker = new Broker(scratch(), SWEEP_MS, false, Peer.isActiveMq());
            broker.indexed = false;
            broker.launch();
            return broker;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** ActiveMQ with its KahaDB, whichever broker this run is against. */
    public static Broker activeMq() {
        return start(SWEEP_MS, false, true);
    }

    /**
     * ActiveMQ with a network connector that forwards to the broker at this address what is consumed there, logged in
     * as this user of a secured broker, or as nobody if that is null.
     */
    public static Broker bridgeTo(String uri, String user) {
        return bridge("bridge", uri, user);
    }

    /**
     * The same, both ways: what is consumed at this ActiveMQ is forwarded to it too, over the same connection. With
     * several addresses it has a connector for each.
     */
    public static Broker duplexBridgeTo(String... uris) {
        return bridge("duplex", String.join(" ", uris), null);
    }

    private static Broker bridge(String kind, String uri, String user) {
        try {
            Broker broker = new Broker(scratch(), SWEEP_MS, false, true);
            broker.bridge = user == null ? List.of(kind, uri) : List.of(kind, uri, user, user + "'s secret");
            broker.launch();
            return broker;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /**
     * Sabir with all that an ActiveMQ has stored that was killed. The import is itself killed after each of so many
     * milliseconds and run again, and at last runs to its end.
     */
    public static Broker takingOver(Broker killed, long... killedAfterMs) {
        try {
            Broker broker = new Broker(scratch(), SWEEP_MS, false, false);
            List<String> command = new ArrayList<>(List.of(program(), "store", "import-kahadb",
                    killed.data.resolve("kahadb").toString(), "--data", broker.data.toString()));
            command.addAll(pluginOptions());
            ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(new File(broker.data + ".log")));
            for (long afterMs : killedAfterMs) {
                Process interrupted = builder.start();
                if (!interrupted.waitFor(afterMs, TimeUnit.MILLISECONDS)) {
                    interrupted.destroyForcibly().waitFor();
                } else if (interrupted.exitValue() == 0) {
                    broker.launch();
                    return broker;
                }
            }
            Process importing = builder.start();
            if (!importing.waitFor(PATIENCE_MS, TimeUnit.MILLISECONDS) || importing.exitValue() != 0) {
                throw new IOException("nothing was imported: " + Files.readString(Path.of(broker.data + ".log")));
            }
            broker.launch();
            return broker;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    private static Path scratch() throws IOException {
        Path scratch = Path.of(System.getProperty("sabir.test.scratch", "target/brokers"));
        return Files.createTempDirectory(Files.createDirectories(scratch), "data");
    }

    private static Broker start(long sweepMs, boolean secured) {
        return start(sweepMs, secured, Peer.isActiveMq());
    }

    private static Broker start(long sweepMs, boolean secured, boolean activeMq) {
        try {
            Broker broker = new Broker(scratch(), sweepMs, secured, activeMq);
            broker.launch();
            return broker;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Where clients connect to: tcp://HOST:PORT. */
    public String uri() {
        return uri;
    }

    /** The port at which it listens. */
    public int port() {
        return Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1));
    }

    /** Ends the process as kill -9 does, and comes back when it is gone. */
    public void kill() {
        process.destroyForcibly();
        try {
            if (!process.waitFor(PATIENCE_MS, TimeUnit.MILLISECONDS)) {
                throw new IllegalStateException("the broker does not end");
            }
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
        RUNNING.remove(process);
    }

    /** Removes, of one that was killed, what is left of an index. */
    public void removeIndex() {
        try {
            Path index = activeMq ? data.resolve("kahadb/db.data") : data.resolve("journal/checkpoint");
            Files.deleteIfExists(index);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** What it has logged since it was started first. */
    public String log() {
        try {
            return Files.readString(Path.of(data + ".log"));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Starts it again on the same data and port; comes back when it is ready. */
    public void restart() {
        kill();
        launch();
    }

    /** Ends it, and removes its data. */
    @Override
    public void close() {
        kill();
        try (Stream<Path> paths = Files.walk(data)) {
            paths.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private void launch() {
        try {
            String listen = "tcp://127.0.0.1:" + port;
            List<String> command = activeMq ? activeMq(listen) : sabir(listen);
            ProcessBuilder builder = new ProcessBuilder(command);
            builder.environment().put("SABIR_LIMITS__SWEEP_INTERVAL_MS", Long.toString(sweepMs));
            if (!indexed && !activeMq) {
                builder.environment().put("SABIR_STORES__JOURNAL__CHECKPOINT_BYTES", Long.toString(1L << 40));
                builder.environment().put("SABIR_STORES__JOURNAL__CHECKPOINT_INTERVAL_MS", "86400000");
            }
            if (secured && !activeMq) {
                builder.environment().put("SABIR_AUTHORIZATION", RIGHTS);
                addUser("ann", "ann's secret");
                addUser("bob", "bob's secret");
            }
            builder.redirectError(ProcessBuilder.Redirect.appendTo(new File(data + ".log")));
            process = builder.start();
            RUNNING.add(process);
            port = readPort();
            uri = "tcp://127.0.0.1:" + port;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static String program() {
        String program = setting("SABIR_TEST_BROKER");
        if (program == null) {
            throw new IllegalStateException(
                    "SABIR_TEST_BROKER is not set: it names the broker's program; or take -Dpeer=activemq");
        }
        return program;
    }

    /** Writes a user into the users' file, which is among the data. */
    private void addUser(String name, String password) throws IOException {
        Process adding = new ProcessBuilder(program(), "user", "add", name, "--password-stdin", "--data", data.toString())
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(new File(data + ".log"))).start();
        try (OutputStream in = adding.getOutputStream()) {
            in.write((password + "\n").getBytes(StandardCharsets.UTF_8));
        }
        try {
            if (!adding.waitFor(PATIENCE_MS, TimeUnit.MILLISECONDS) || adding.exitValue() != 0) {
                throw new IOException("the user " + name + " cannot be added: see " + data + ".log");
            }
        } catch (InterruptedException error) {
            throw new IOException(error);
        }
    }

    private List<String> sabir(String listen) {
        List<String> command = new ArrayList<>(List.of(program(), "run", "--data", data.toString(), "--listen", listen));
        command.addAll(pluginOptions());
        return command;
    }

    private static List<String> pluginOptions() {
        String plugins = setting("SABIR_TEST_PLUGIN_DIR");
        return plugins == null ? List.of() : List.of("--plugins", plugins);
    }

    private List<String> activeMq(String listen) throws IOException {
        String[] parts = System.getProperty("sabir.test.peer.classpath").split(":", 2);
        String classpath = parts[0] + ":" + Files.readString(Path.of(parts[1])).strip();
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        List<String> command = new ArrayList<>(List.of(java, "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-cp", classpath, "sabir.peer.ActiveMqPeer", data.toString(), listen, Long.toString(sweepMs)));
        if (secured) {
            command.add("secured");
        }
        command.addAll(bridge);
        return command;
    }

    /** Reads what the process says until it is ready, and goes on reading so that it never waits for us. */
    private int readPort() throws IOException {
        CompletableFuture<Integer> ready = new CompletableFuture<>();
        Process read = process;
        Thread reader = new Thread(() -> {
            int found = 0;
            try (BufferedReader lines = new BufferedReader(
                    new InputStreamReader(read.getInputStream(), StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    String[] words = line.split(" ");
                    if (words[0].equals("listening") && words[1].equals("tcp")) {
                        found = Integer.parseInt(words[2].substring(words[2].lastIndexOf(':') + 1));
                    } else if (line.equals("ready")) {
                        ready.complete(found);
                    }
                }
            } catch (IOException error) {
                // It was killed.
            }
            ready.completeExceptionally(new IOException("the broker ended before it was ready: see " + data + ".log"));
        }, "broker output");
        reader.setDaemon(true);
        reader.start();
        try {
            return ready.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException | java.util.concurrent.ExecutionException | TimeoutException error) {
            process.destroyForcibly();
            throw new IOException("the broker did not start", error);
        }
    }

    private static String setting(String name) {
        String value = System.getProperty(name, System.getenv(name));
        return value == null || value.isEmpty() ? null : value;
    }
}
