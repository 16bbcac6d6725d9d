// SPDX-License-Identifier: Apache-2.0
package sabir.capture;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.broker.BrokerService;

/**
 * Records what the real client and the real broker say to each other.
 *
 * <pre>
 *   # comment
 *   =         a new connection begins
 *   > hex     a frame from the client, with its length
 *   < hex     a frame from the broker
 * </pre>
 *
 * The JMS interfaces have two packages, so they are called by the names of their methods.
 */
public final class Dialogue {
    private final List<String> lines = Collections.synchronizedList(new ArrayList<>());

    private Dialogue() {}

    public static void main(String[] args) throws Exception {
        System.setProperty("activemq.idgenerator.hostname", "host.example");
        for (String options : new String[] {"tight", "loose"}) {
            Dialogue dialogue = new Dialogue();
            dialogue.record(options.equals("tight"));
            List<String> text = new ArrayList<>(dialogue.lines);
            text.add(0, "# Written by tests/java/capture with activemq-client and activemq-broker " + args[1]);
            Files.write(Path.of(args[0]).resolve("client-" + args[1] + "-" + options + ".dialogue"), text);
        }
        System.exit(0);
    }

    private void record(boolean tight) throws Exception {
        BrokerService broker = new BrokerService();
        broker.setPersistent(false);
        broker.setUseJmx(false);
        broker.setBrokerName("recorded");
        String address = broker.addConnector("tcp://127.0.0.1:0").getPublishableConnectString();
        broker.start();
        int port = Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
        try (ServerSocket between = new ServerSocket(0, 10, InetAddress.getLoopbackAddress())) {
            background(() -> proxy(between, port));
            ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(
                    "tcp://127.0.0.1:" + between.getLocalPort()
                            + "?wireFormat.tightEncodingEnabled=" + tight + "&wireFormat.maxInactivityDuration=0");
            factory.setTrustAllPackages(true);
            scenario(call(factory, "createConnection"), false);
            factory.setUseCompression(true);
            factory.setOptimizeAcknowledge(true);
            factory.setProducerWindowSize(2000);
            scenario(call(factory, "createConnection"), true);
        }
        broker.stop();
    }

    private static void background(Runnable run) {
        Thread thread = new Thread(run);
        thread.setDaemon(true);
        thread.start();
    }

    private void proxy(ServerSocket between, int port) {
        try {
            while (true) {
                Socket client = between.accept();
                Socket broker = new Socket(InetAddress.getLoopbackAddress(), port);
                lines.add("=");
                background(() -> frames(client, broker, "> "));
                background(() -> frames(broker, client, "< "));
            }
        } catch (IOException end) {
            // The recording is over.
        }
    }

    private void frames(Socket from, Socket to, String mark) {
        try {
            DataInputStream in = new DataInputStream(from.getInputStream());
            DataOutputStream out = new DataOutputStream(to.getOutputStream());
            while (true) {
                byte[] frame = new byte[in.readInt()];
                in.readFully(frame);
                String size = HexFormat.of().toHexDigits(frame.length);
                lines.add(mark + size + HexFormat.of().formatHex(frame));
                out.writeInt(frame.length);
                out.write(frame);
                out.flush();
            }
        } catch (EOFException | SocketException end) {
            close(from);
            close(to);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void close(Socket socket) {
        try {
            socket.close();
        } catch (IOException ignored) {
            // It is closed already.
        }
    }

    /** Calls the public method of that name that takes these arguments. */
    private static Object call(Object on, String name, Object... arguments) throws Exception {
        for (Method method : on.getClass().getMethods()) {
            if (method.getName().equals(name) && fits(method, arguments)) {
                method.setAccessible(true);
                try {
                    return method.invoke(on, arguments);
                } catch (InvocationTargetException e) {
                    throw (Exception) e.getCause();
                }
            }
        }
        throw new NoSuchMethodException(name);
    }

    private static boolean fits(Method method, Object[] arguments) {
        Class<?>[] types = method.getParameterTypes();
        if (types.length != arguments.length) {
            return false;
        }
        for (int i = 0; i < types.length; i++) {
            Class<?> type = java.lang.invoke.MethodType.methodType(types[i]).wrap().returnType();
            if (arguments[i] != null && !type.isInstance(arguments[i])) {
                return false;
            }
        }
        return true;
    }

    private static void scenario(Object connection, boolean second) throws Exception {
        call(connection, "setClientID", second ? "client-2" : "client-1");
        call(connection, "start");
        Object session = call(connection, "createSession", false, 1);
        Object queue = call(session, "createQueue", "ORDERS.EU?consumer.prefetchSize=" + (second ? 0 : 10));
        Object plain = call(session, "createQueue", "ORDERS.EU");
        Object producer = call(session, "createProducer", plain);
        Object consumer = call(session, "createConsumer", queue, "region = 'gr\u00fcn' OR region IS NULL");
        for (Object message : messages(session)) {
            call(producer, "send", message);
            require(call(consumer, "receive", 10_000L));
        }
        call(consumer, "close");
        transacted(connection, plain);
        topics(connection, second);
        request(connection, session, plain);
        errors(connection, session);
        call(connection, "close");
    }

    private static void require(Object value) {
        if (value == null) {
            throw new IllegalStateException("nothing came");
        }
    }

    private static List<Object> messages(Object session) throws Exception {
        List<Object> messages = new ArrayList<>();
        Object text = call(session, "createTextMessage", "ol\u00e1 \ud83d\ude00 \0 " + "x".repeat(600));
        call(text, "setStringProperty", "region", "gr\u00fcn");
        call(text, "setLongProperty", "amount", 5_000_000_000L);
        call(text, "setJMSCorrelationID", "correlation");
        call(text, "setJMSType", "order");
        call(text, "setStringProperty", "JMSXGroupID", "group");
        messages.add(text);
        Object map = call(session, "createMapMessage");
        call(map, "setString", "name", "value");
        call(map, "setDouble", "number", 0.5);
        messages.add(map);
        Object stream = call(session, "createStreamMessage");
        call(stream, "writeInt", 7);
        call(stream, "writeString", "seven");
        messages.add(stream);
        Object bytes = call(session, "createBytesMessage");
        call(bytes, "writeBytes", (Object) new byte[] {1, 2, 3});
        messages.add(bytes);
        messages.add(call(session, "createObjectMessage", "an object"));
        messages.add(call(session, "createMessage"));
        return messages;
    }

    private static void transacted(Object connection, Object queue) throws Exception {
        Object session = call(connection, "createSession", true, 0);
        Object producer = call(session, "createProducer", queue);
        Object consumer = call(session, "createConsumer", queue);
        for (int round = 0; round < 3; round++) {
            call(producer, "send", call(session, "createTextMessage", "round " + round));
            call(session, "commit");
            require(call(consumer, "receive", 10_000L));
            call(session, "rollback");
            require(call(consumer, "receive", 10_000L));
            call(session, "commit");
        }
        Object browser = call(session, "createBrowser", queue);
        Object left = call(browser, "getEnumeration");
        while (((java.util.Enumeration<?>) left).hasMoreElements()) {
            ((java.util.Enumeration<?>) left).nextElement();
        }
        call(browser, "close");
        call(session, "close");
    }

    private static void topics(Object connection, boolean second) throws Exception {
        Object session = call(connection, "createSession", false, 2);
        Object topic = call(session, "createTopic", "PRICES.EU");
        Object durable = call(session, "createDurableSubscriber", topic, "sub", "a > 1", second);
        Object wild = call(session, "createConsumer", call(session, "createTopic", "PRICES.>"));
        Object producer = call(session, "createProducer", new Object[] {null});
        for (int i = 0; i < 4; i++) {
            Object message = call(session, "createTextMessage", "price " + i);
            call(message, "setIntProperty", "a", i);
            call(producer, "send", topic, message, 1, 9, 60_000L);
            require(call(wild, "receive", 10_000L));
        }
        if (!second) {
            Object received = call(durable, "receive", 10_000L);
            require(received);
            call(received, "acknowledge");
        }
        call(durable, "close");
        call(session, "unsubscribe", "sub");
        call(session, "close");
    }

    private static void request(Object connection, Object session, Object queue) throws Exception {
        Object temporary = call(session, "createTemporaryQueue");
        Object answers = call(session, "createConsumer", temporary);
        Object producer = call(session, "createProducer", queue);
        Object request = call(session, "createTextMessage", "request");
        call(request, "setJMSReplyTo", temporary);
        call(producer, "send", request);
        Object server = call(session, "createConsumer", queue);
        Object asked = call(server, "receive", 10_000L);
        require(asked);
        Object answer = call(session, "createProducer", call(asked, "getJMSReplyTo"));
        call(answer, "send", call(session, "createTextMessage", "answer"));
        require(call(answers, "receive", 10_000L));
        call(answers, "close");
        call(temporary, "delete");
    }

    private static void errors(Object connection, Object session) throws Exception {
        try {
            call(session, "createConsumer", call(session, "createQueue", "Q"), "this is = = no selector");
            throw new IllegalStateException("no error");
        } catch (Exception expected) {
            if (expected instanceof IllegalStateException) {
                throw expected;
            }
        }
        try {
            call(session, "unsubscribe", "nobody");
            throw new IllegalStateException("no error");
        } catch (Exception expected) {
            if (expected instanceof IllegalStateException) {
                throw expected;
            }
        }
    }
}
