// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.QueueBrowser;
import javax.jms.Session;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Looking at a queue without taking anything from it. */
class BrowserTest extends JmsTest {
    private Session session;
    private Queue queue;

    @BeforeEach
    void open() throws JMSException {
        session = session();
        queue = session.createQueue(name);
    }

    private static List<String> browse(QueueBrowser browser) throws JMSException {
        List<String> texts = new ArrayList<>();
        Enumeration<?> messages = browser.getEnumeration();
        while (messages.hasMoreElements()) {
            texts.add(text((Message) messages.nextElement()));
        }
        browser.close();
        return texts;
    }

    @Test
    void browsingShowsAllInOrderAndTakesNothing() throws JMSException {
        sendMany(session, queue, 20);
        assertEquals(List.of(numbers(0, 20)), browse(session.createBrowser(queue)));
        assertEquals(List.of(numbers(0, 20)), browse(session.createBrowser(queue)));
        Message first = receive(session.createConsumer(queue));
        assertFalse(first.getJMSRedelivered());
    }

    @Test
    void anEmptyQueueEndsAtOnce() throws JMSException {
        assertEquals(List.of(), browse(session.createBrowser(queue)));
    }

    @Test
    void aBrowserSelects() throws JMSException {
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < 10; number++) {
            Message message = session.createTextMessage(Integer.toString(number));
            message.setIntProperty("number", number);
            producer.send(message);
        }
        assertEquals(List.of("7", "8", "9"), browse(session.createBrowser(queue, "number > 6")));
        assertEquals(List.of(), browse(session.createBrowser(queue, "number > 60")));
    }

    @Test
    void manyMessagesAreBrowsedThroughASmallPrefetch() throws JMSException {
        Session bulk = transacted(connect());
        sendMany(bulk, queue, 300);
        bulk.commit();
        Session narrow = auto(connect("?jms.prefetchPolicy.queueBrowserPrefetch=10"));
        assertEquals(List.of(numbers(0, 300)), browse(narrow.createBrowser(queue)));
    }

    @Test
    void aBrowserCanStopHalfWay() throws JMSException {
        sendMany(session, queue, 50);
        QueueBrowser browser = session.createBrowser(queue);
        Enumeration<?> messages = browser.getEnumeration();
        assertTrue(messages.hasMoreElements());
        assertEquals("0", text((Message) messages.nextElement()));
        browser.close();
        assertEquals(List.of(numbers(0, 50)), drain(queue));
    }

    @Test
    void aBrowserDoesNotDisturbAConsumer() throws JMSException {
        sendMany(session, queue, 5);
        MessageConsumer consumer = client(connect("?jms.prefetchPolicy.all=1")).createConsumer(queue);
        Message first = receive(consumer);
        browse(session.createBrowser(queue));
        first.acknowledge();
        expect(consumer, "1", "2", "3", "4");
    }

    @Test
    void whatIsNotCommittedIsNotBrowsed() throws JMSException {
        send(session, queue, "committed");
        Session open = transacted(connect());
        send(open, queue, "open");
        assertEquals(List.of("committed"), browse(session.createBrowser(queue)));
        open.commit();
        assertEquals(List.of("committed", "open"), browse(session.createBrowser(queue)));
    }

    @Test
    void browsedMessagesAreWhole() throws JMSException {
        Message sent = session.createTextMessage("whole");
        sent.setStringProperty("property", "value");
        sent.setJMSCorrelationID("correlation");
        session.createProducer(queue).send(sent);
        Message seen = (Message) session.createBrowser(queue).getEnumeration().nextElement();
        assertEquals(sent.getJMSMessageID(), seen.getJMSMessageID());
        assertEquals("value", seen.getStringProperty("property"));
        assertEquals("correlation", seen.getJMSCorrelationID());
        assertEquals("whole", text(seen));
    }

    @Test
    void browsingInATransactedSession() throws JMSException {
        sendMany(session, queue, 3);
        Session transacted = transacted(connect());
        assertEquals(List.of("0", "1", "2"), browse(transacted.createBrowser(queue)));
        transacted.rollback();
        assertEquals(List.of("0", "1", "2"), drain(queue));
    }

    @Test
    void expiredMessagesAreNotBrowsed() throws JMSException {
        MessageProducer producer = session.createProducer(queue);
        producer.send(session.createTextMessage("stays"));
        producer.setTimeToLive(1);
        Message expired = session.createTextMessage("expired");
        producer.send(expired);
        outlive(expired);
        assertEquals(List.of("stays"), browse(session.createBrowser(queue)));
    }
}
