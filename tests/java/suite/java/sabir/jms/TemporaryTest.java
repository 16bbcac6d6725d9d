// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import javax.jms.DeliveryMode;
import javax.jms.Destination;
import javax.jms.InvalidDestinationException;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.QueueRequestor;
import javax.jms.QueueSession;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.jms.TemporaryTopic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQTempQueue;
import org.apache.activemq.command.ConsumerId;
import org.apache.activemq.command.ConsumerInfo;
import org.apache.activemq.command.DestinationInfo;
import org.apache.activemq.command.SessionId;
import org.apache.activemq.command.SessionInfo;
import org.junit.jupiter.api.Test;
import sabir.harness.Peer;

/** Requests and their replies, over destinations that belong to one connection and go with it. */
class TemporaryTest extends JmsTest {
    /** Answers every request with its own text, from a connection of its own. */
    private Queue serve() throws JMSException {
        Session session = session();
        Queue requests = session.createQueue(name);
        MessageProducer replier = session.createProducer(null);
        replier.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        session.createConsumer(requests).setMessageListener(request -> {
            try {
                Message reply = session.createTextMessage("re: " + text(request));
                reply.setJMSCorrelationID(request.getJMSMessageID());
                replier.send(request.getJMSReplyTo(), reply);
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        return requests;
    }

    /** A connection that has been told of a temporary queue: until then clients refuse to send to it. */
    private ActiveMQConnection toldOf(TemporaryQueue queue) throws Exception {
        ActiveMQConnection connection = connect();
        eventually("it is told of the queue", () -> !connection.isDeleted((ActiveMQDestination) queue));
        return connection;
    }

    private static void request(Session session, MessageProducer producer, Destination replies, String text)
            throws JMSException {
        Message request = session.createTextMessage(text);
        request.setJMSReplyTo(replies);
        producer.send(request);
    }

    private static MessageProducer quick(Session session, Destination destination) throws JMSException {
        MessageProducer producer = session.createProducer(destination);
        producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        return producer;
    }

    @Test
    void aThousandRequestsAreAnsweredOverOneTemporaryQueue() throws JMSException {
        Session session = auto(connect());
        MessageProducer producer = quick(session, serve());
        TemporaryQueue replies = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(replies);
        for (String text : numbers(0, 1000)) {
            request(session, producer, replies, text);
            assertEquals("re: " + text, text(receive(consumer)));
        }
    }

    @Test
    void aThousandRequestsAtOnce() throws JMSException {
        Session session = auto(connect());
        MessageProducer producer = quick(session, serve());
        TemporaryQueue replies = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(replies);
        for (String text : numbers(0, 1000)) {
            request(session, producer, replies, text);
        }
        for (String text : numbers(0, 1000)) {
            assertEquals("re: " + text, text(receive(consumer)));
        }
    }

    @Test
    void aTemporaryQueueForEachOfAHundredRequests() throws JMSException {
        Session session = auto(connect());
        MessageProducer producer = quick(session, serve());
        for (String text : numbers(0, 100)) {
            TemporaryQueue replies = session.createTemporaryQueue();
            MessageConsumer consumer = session.createConsumer(replies);
            request(session, producer, replies, text);
            assertEquals("re: " + text, text(receive(consumer)));
            consumer.close();
            replies.delete();
        }
    }

    @Test
    void requestsOverATemporaryTopic() throws JMSException {
        Session session = auto(connect());
        MessageProducer producer = quick(session, serve());
        TemporaryTopic replies = session.createTemporaryTopic();
        MessageConsumer consumer = session.createConsumer(replies);
        MessageConsumer second = session.createConsumer(replies);
        for (String text : numbers(0, 50)) {
            request(session, producer, replies, text);
            assertEquals("re: " + text, text(receive(consumer)));
            assertEquals("re: " + text, text(receive(second)));
        }
    }

    @Test
    void theRequestorOfJmsWorks() throws JMSException {
        ActiveMQConnection connection = connect();
        QueueSession session = connection.createQueueSession(false, Session.AUTO_ACKNOWLEDGE);
        QueueRequestor requestor = new QueueRequestor(session, serve());
        assertEquals("re: ask", text(requestor.request(session.createTextMessage("ask"))));
        requestor.close();
    }

    @Test
    void oneWhoConnectsLaterCanReplyToAQueueThatWasThereBefore() throws Exception {
        Session session = auto(connect());
        TemporaryQueue replies = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(replies);
        Session late = auto(toldOf(replies));
        for (String text : numbers(0, 10)) {
            send(late, replies, text);
        }
        expect(consumer, numbers(0, 10));
    }

    @Test
    void repliesWaitUntilTheyAreAskedFor() throws Exception {
        Session session = auto(connect());
        TemporaryQueue replies = session.createTemporaryQueue();
        sendMany(auto(toldOf(replies)), replies, 3);
        expect(session.createConsumer(replies), "0", "1", "2");
    }

    @Test
    void theClientRefusesToConsumeFromWhatIsNotItsOwn() throws JMSException {
        TemporaryQueue foreign = session().createTemporaryQueue();
        Session other = session();
        assertThrows(InvalidDestinationException.class, () -> other.createConsumer(foreign));
    }

    /** Consumes past what the client checks by itself. */
    private static void subscribeRaw(ActiveMQConnection connection, ActiveMQDestination destination)
            throws JMSException {
        SessionInfo session = new SessionInfo(new SessionId(connection.getConnectionInfo().getConnectionId(), 77));
        connection.syncSendPacket(session);
        ConsumerInfo info = new ConsumerInfo(new ConsumerId(session.getSessionId(), 1));
        info.setDestination(destination);
        info.setPrefetchSize(10);
        connection.syncSendPacket(info);
    }

    @Test
    void theBrokerRefusesToLetOthersConsume() throws JMSException {
        TemporaryQueue own = session().createTemporaryQueue();
        ActiveMQConnection other = connect();
        ActiveMQDestination foreign = (ActiveMQDestination) own;
        ActiveMQDestination composite = new ActiveMQTempQueue(
                other.getConnectionInfo().getConnectionId().getValue() + ":1," + foreign.getPhysicalName());
        if (Peer.isActiveMq()) {
            // ActiveMQ 5.18 leaves the check to clients (CVE-2026-54475, CVE-2026-61487); Sabir checks in the broker.
            subscribeRaw(other, foreign);
        } else {
            assertThrows(JMSException.class, () -> subscribeRaw(other, foreign));
            assertThrows(JMSException.class, () -> subscribeRaw(connect(), composite));
        }
    }

    @Test
    void othersCannotDeleteATemporaryQueue() throws Exception {
        Session session = auto(connect());
        TemporaryQueue own = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(own);
        ActiveMQConnection other = connect();
        DestinationInfo delete = new DestinationInfo(other.getConnectionInfo().getConnectionId(),
                DestinationInfo.REMOVE_OPERATION_TYPE, (ActiveMQDestination) own);
        if (Peer.isActiveMq()) {
            // ActiveMQ 5.18 lets anybody delete it, though it is used (CVE-2026-46605); Sabir its owner alone.
            other.syncSendPacket(delete);
            return;
        }
        assertThrows(JMSException.class, () -> other.syncSendPacket(delete));
        send(auto(toldOf(own)), own, "still there");
        expect(consumer, "still there");
    }

    @Test
    void aTemporaryQueueThatIsUsedCannotBeDeleted() throws JMSException {
        Session session = auto(connect());
        TemporaryQueue queue = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(queue);
        assertThrows(JMSException.class, queue::delete);
        consumer.close();
        queue.delete();
    }

    @Test
    void whoSendsToATemporaryQueueThatWasDeletedIsTold() throws Exception {
        Session session = auto(connect());
        TemporaryQueue queue = session.createTemporaryQueue();
        ActiveMQConnection other = toldOf(queue);
        Session sender = auto(other);
        MessageProducer producer = sender.createProducer(queue);
        producer.send(sender.createTextMessage("in time"));
        queue.delete();
        eventually("the deletion is told", () -> other.isDeleted((ActiveMQDestination) queue));
        JMSException refused = assertThrows(JMSException.class,
                () -> producer.send(sender.createTextMessage("too late")));
        assertTrue(refused.getMessage().contains("deleted"), refused.getMessage());
    }

    @Test
    void whoSendsToTheQueueOfAConnectionThatIsGoneIsTold() throws Exception {
        ActiveMQConnection owner = connect();
        TemporaryQueue queue = auto(owner).createTemporaryQueue();
        ActiveMQConnection other = toldOf(queue);
        Session sender = auto(other);
        MessageProducer producer = sender.createProducer(queue);
        producer.send(sender.createTextMessage("in time"));
        owner.close();
        eventually("the deletion is told", () -> other.isDeleted((ActiveMQDestination) queue));
        assertThrows(JMSException.class, () -> producer.send(sender.createTextMessage("too late")));
    }

    @Test
    void theBrokerItselfTellsWhoSendsToATemporaryQueueThatIsGone() throws Exception {
        // Without advisories the client knows nothing of temporary queues, and asks the broker.
        ActiveMQConnection owner = connect();
        TemporaryQueue queue = auto(owner).createTemporaryQueue();
        Session sender = auto(connect("?jms.watchTopicAdvisories=false"));
        MessageProducer producer = sender.createProducer(queue);
        producer.send(sender.createTextMessage("in time"));
        owner.close();
        JMSException refused = assertThrows(JMSException.class, () -> {
            // The farewell of one connection and a message of another may cross.
            for (int attempt = 0; attempt < 1000; attempt++) {
                producer.send(sender.createTextMessage("too late"));
            }
        });
        // ActiveMQ has an exception of its own for this, which is no InvalidDestinationException.
        assertTrue(refused instanceof InvalidDestinationException
                || refused.toString().contains("does not exist"), refused.toString());
    }

    @Test
    void manyTemporaryQueuesOfManyConnections() throws JMSException {
        Queue requests = serve();
        List<Session> sessions = new ArrayList<>();
        List<MessageConsumer> consumers = new ArrayList<>();
        for (int number = 0; number < 20; number++) {
            Session session = auto(connect());
            TemporaryQueue replies = session.createTemporaryQueue();
            sessions.add(session);
            consumers.add(session.createConsumer(replies));
            request(session, quick(session, requests), replies, "of " + number);
        }
        for (int number = 0; number < 20; number++) {
            assertEquals("re: of " + number, text(receive(consumers.get(number))));
        }
    }

    @Test
    void aTemporaryQueueCanBeBrowsedAndSelectedFromByItsOwner() throws Exception {
        Session session = auto(connect());
        TemporaryQueue queue = session.createTemporaryQueue();
        Session other = auto(toldOf(queue));
        MessageProducer producer = other.createProducer(queue);
        for (int number = 0; number < 4; number++) {
            Message message = other.createTextMessage(Integer.toString(number));
            message.setIntProperty("number", number);
            producer.send(message);
        }
        assertTrue(session.createBrowser(queue).getEnumeration().hasMoreElements());
        expect(session.createConsumer(queue, "number = 2"), "2");
    }
}
