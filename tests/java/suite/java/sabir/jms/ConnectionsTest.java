// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.InvalidClientIDException;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.BrokerInfo;
import org.apache.activemq.command.ConnectionControl;
import org.apache.activemq.command.WireFormatInfo;
import org.apache.activemq.transport.DefaultTransportListener;
import org.junit.jupiter.api.Test;
import sabir.harness.Broker;
import sabir.harness.Gate;

/** Connections: many of them, their client ids, their ends, and what keeps them alive. */
class ConnectionsTest extends JmsTest {
    @Test
    void twoHundredConnectionsAtTheSameTimeSendAndReceive() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(200);
        List<ActiveMQConnection> connections = new ArrayList<>();
        ActiveMQConnectionFactory factory = factory("?jms.watchTopicAdvisories=false");
        for (int number = 0; number < 200; number++) {
            connections.add(closing((ActiveMQConnection) factory.createConnection()));
        }
        List<Callable<String>> tasks = new ArrayList<>();
        for (int number = 0; number < 200; number++) {
            int own = number;
            tasks.add(() -> {
                ActiveMQConnection connection = connections.get(own);
                connection.start();
                Session session = auto(connection);
                Queue to = session.createQueue(name + "." + (own + 1) % 200);
                MessageConsumer consumer = session.createConsumer(session.createQueue(name + "." + own));
                MessageProducer producer = session.createProducer(to);
                producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
                StringBuilder received = new StringBuilder();
                for (int round = 0; round < 5; round++) {
                    producer.send(session.createTextMessage(own + "/" + round));
                    received.append(text(receive(consumer))).append(' ');
                }
                return received.toString();
            });
        }
        List<Future<String>> results = threads.invokeAll(tasks);
        for (int number = 0; number < 200; number++) {
            int from = (number + 199) % 200;
            StringBuilder expected = new StringBuilder();
            for (int round = 0; round < 5; round++) {
                expected.append(from).append('/').append(round).append(' ');
            }
            assertEquals(expected.toString(), results.get(number).get());
        }
        threads.shutdown();
    }

    @Test
    void aHundredSessionsOnOneConnection() throws JMSException {
        ActiveMQConnection connection = connect();
        List<MessageConsumer> consumers = new ArrayList<>();
        Session sender = auto(connection);
        for (int number = 0; number < 100; number++) {
            consumers.add(auto(connection).createConsumer(sender.createQueue(name + "." + number)));
        }
        MessageProducer producer = sender.createProducer(null);
        producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        for (int number = 0; number < 100; number++) {
            producer.send(sender.createQueue(name + "." + number), sender.createTextMessage("to " + number));
        }
        for (int number = 0; number < 100; number++) {
            expect(consumers.get(number), "to " + number);
        }
    }

    @Test
    void aClientIdThatIsInUseIsRefused() throws JMSException {
        connectAs(name);
        ActiveMQConnection second = closing((ActiveMQConnection) factory("").createConnection());
        assertThrows(InvalidClientIDException.class, () -> {
            second.setClientID(name);
            second.start();
        });
    }

    @Test
    void aClientIdIsFreeAgainAfterItsConnectionIsClosed() throws JMSException {
        for (int round = 0; round < 3; round++) {
            connectAs(name).close();
        }
    }

    @Test
    void aClientIdIsFreeAgainAfterItsLinkBroke() throws Exception {
        breakLink(connectAs(name));
        eventually("the name is free", () -> {
            try {
                connectAs(name);
                return true;
            } catch (JMSException error) {
                return false;
            }
        });
    }

    @Test
    void aSessionClosesWhatItOpened() throws JMSException {
        ActiveMQConnection connection = connect();
        for (int round = 0; round < 50; round++) {
            Session session = auto(connection);
            Queue queue = session.createQueue(name);
            MessageConsumer consumer = session.createConsumer(queue);
            send(session, queue, "round " + round);
            expect(consumer, "round " + round);
            session.close();
        }
    }

    @Test
    void aConnectionThatIsStoppedReceivesNothingUntilItIsStarted() throws JMSException {
        ActiveMQConnection connection = connect();
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        MessageConsumer consumer = session.createConsumer(queue);
        connection.stop();
        send(session(), queue, "held");
        expectNothing(consumer);
        connection.start();
        expect(consumer, "held");
    }

    @Test
    void theListenerOfAConnectionIsToldWhenTheBrokerIsGone() throws Exception {
        Broker broker = closing(Broker.start());
        Connection connection = new ActiveMQConnectionFactory(broker.uri()).createConnection();
        BlockingQueue<JMSException> told = new LinkedBlockingQueue<>();
        connection.setExceptionListener(told::add);
        connection.start();
        broker.kill();
        assertNotNull(next(told));
    }

    @Test
    void anIdleConnectionIsKeptAlive() throws JMSException {
        // Both ends must say something three times a second, or the other gives them up.
        ActiveMQConnection connection =
                connect("?wireFormat.maxInactivityDuration=900&wireFormat.maxInactivityDurationInitalDelay=100");
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        MessageConsumer consumer = session.createConsumer(queue);
        assertEquals(null, consumer.receive(2500));
        send(session, queue, "still there");
        expect(consumer, "still there");
    }

    @Test
    void oneWhoWantsNoInactivityMonitorIsServed() throws JMSException {
        Session session = auto(connect("?wireFormat.maxInactivityDuration=0"));
        send(session, session.createQueue(name), "served");
        expect(session.createConsumer(session.createQueue(name)), "served");
    }

    /** Keeps what the broker says of itself. */
    private static final class Recorder extends DefaultTransportListener {
        final BlockingQueue<WireFormatInfo> formats = new LinkedBlockingQueue<>();
        final BlockingQueue<BrokerInfo> brokers = new LinkedBlockingQueue<>();
        final BlockingQueue<ConnectionControl> controls = new LinkedBlockingQueue<>();

        @Override
        public void onCommand(Object command) {
            if (command instanceof WireFormatInfo info) {
                formats.add(info);
            } else if (command instanceof BrokerInfo info) {
                brokers.add(info);
            } else if (command instanceof ConnectionControl control) {
                controls.add(control);
            }
        }
    }

    private Recorder record(String uri) throws JMSException {
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(uri);
        Recorder recorder = new Recorder();
        factory.setTransportListener(recorder);
        start(factory);
        return recorder;
    }

    @Test
    void aBrokerTellsWhoItIs() throws Exception {
        BrokerInfo info = next(record(brokerUri()).brokers);
        assertNotNull(info.getBrokerId());
        assertNotNull(info.getBrokerName());
        assertTrue(info.getBrokerURL().contains(":"), info.getBrokerURL());
    }

    @Test
    void aClientThatFailsOverIsToldAboutTheBrokers() throws Exception {
        ConnectionControl control = next(record("failover:(" + brokerUri() + ")").controls);
        assertEquals(false, control.isClose());
        assertEquals(false, control.isRebalanceConnection());
    }

    @Test
    void aClientThatNegotiatesNothingUnusualGetsVersionTwelve() throws Exception {
        ActiveMQConnection connection = connect();
        eventually("the broker has answered", () -> connection.getBrokerName() != null);
        assertEquals(12, connection.getProtocolVersion());
    }

    @Test
    void aBrokerThatIsSilentOnTheLinkIsGivenUp() throws Exception {
        Broker broker = Broker.shared();
        Gate gate = closing(new Gate(broker.port()));
        Connection connection = new ActiveMQConnectionFactory(
                gate.uri() + "?wireFormat.maxInactivityDuration=300&wireFormat.maxInactivityDurationInitalDelay=100")
                .createConnection();
        BlockingQueue<JMSException> told = new LinkedBlockingQueue<>();
        connection.setExceptionListener(told::add);
        connection.start();
        gate.swallowAnswers();
        assertNotNull(told.poll(PATIENCE_MS, TimeUnit.MILLISECONDS));
    }
}
