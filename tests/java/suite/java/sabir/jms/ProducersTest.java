// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQMessageProducer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sending: waiting for each answer, for none, or for room in a window. */
class ProducersTest extends JmsTest {
    @ParameterizedTest
    @ValueSource(strings = {"", "?jms.useAsyncSend=true", "?jms.alwaysSyncSend=true", "?jms.producerWindowSize=2048",
        "?jms.producerWindowSize=2048&jms.useAsyncSend=true", "?jms.dispatchAsync=false", "?jms.copyMessageOnSend=false",
        "?jms.sendAcksAsync=false", "?jms.alwaysSessionAsync=false", "?jms.useRetroactiveConsumer=true",
        "?useInactivityMonitor=false", "?socketBufferSize=8192&ioBufferSize=512"})
    void everyWayToSendKeepsAllMessagesInOrder(String options) throws JMSException {
        for (int mode : new int[] {DeliveryMode.PERSISTENT, DeliveryMode.NON_PERSISTENT}) {
            Session session = auto(connect(options));
            Queue queue = session.createQueue(name + "." + mode);
            MessageConsumer consumer = session.createConsumer(queue);
            MessageProducer producer = session.createProducer(queue);
            producer.setDeliveryMode(mode);
            for (String text : numbers(0, 100)) {
                producer.send(session.createTextMessage(text));
            }
            expect(consumer, numbers(0, 100));
        }
    }

    @Test
    void aWindowThatIsSmallerThanAMessageLetsItThrough() throws JMSException {
        Session session = auto(connect("?jms.producerWindowSize=100&jms.useAsyncSend=true"));
        Queue queue = session.createQueue(name);
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < 20; number++) {
            producer.send(session.createTextMessage("x".repeat(1000)));
        }
        producer.close();
        assertEquals(20, drain(queue).size());
    }

    @Test
    void windowsWorkInTransactions() throws JMSException {
        Session session = transacted(connect("?jms.producerWindowSize=1024"));
        Queue queue = session.createQueue(name);
        sendMany(session, queue, 200);
        session.commit();
        assertEquals(List.of(numbers(0, 200)), drain(queue));
    }

    @Test
    void whatWasSentWithoutWaitingIsThereAfterTheConnectionIsClosed() throws JMSException {
        ActiveMQConnection connection = connect("?jms.useAsyncSend=true");
        Session session = auto(connection);
        Queue queue = session.createQueue(name);
        sendMany(session, queue, 500);
        connection.close();
        assertEquals(List.of(numbers(0, 500)), drain(queue));
    }

    @Test
    void aCallbackIsToldWhenAMessageIsSafe() throws Exception {
        Session session = auto(connect());
        Queue queue = session.createQueue(name);
        ActiveMQMessageProducer producer = (ActiveMQMessageProducer) session.createProducer(queue);
        CountDownLatch safe = new CountDownLatch(50);
        AtomicReference<JMSException> problem = new AtomicReference<>();
        for (String text : numbers(0, 50)) {
            producer.send(session.createTextMessage(text), new org.apache.activemq.AsyncCallback() {
                @Override
                public void onSuccess() {
                    safe.countDown();
                }

                @Override
                public void onException(JMSException exception) {
                    problem.set(exception);
                }
            });
        }
        assertEquals(true, safe.await(PATIENCE_MS, TimeUnit.MILLISECONDS), () -> "problem: " + problem.get());
        assertEquals(List.of(numbers(0, 50)), drain(queue));
    }

    @Test
    void manyProducersOfOneSession() throws JMSException {
        Session session = session();
        for (int number = 0; number < 200; number++) {
            Queue queue = session.createQueue(name + "." + number % 10);
            MessageProducer producer = session.createProducer(queue);
            producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            producer.send(session.createTextMessage(Integer.toString(number)));
        }
        for (int number = 0; number < 10; number++) {
            assertEquals(20, drain(session.createQueue(name + "." + number)).size());
        }
    }

    @Test
    void oneProducerWithoutADestinationSendsToFiveHundredQueues() throws JMSException {
        Session session = session();
        MessageProducer anonymous = session.createProducer(null);
        anonymous.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        for (int number = 0; number < 500; number++) {
            anonymous.send(session.createQueue(name + "." + number), session.createTextMessage("x"));
        }
        MessageConsumer all = session.createConsumer(session.createQueue(name + ".*"));
        assertEquals(500, take(all, 500).size());
        expectNothing(all);
    }
}
