// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import javax.jms.InvalidSelectorException;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Selectors by which consumers choose; how single conditions are evaluated is in the folder selectors. */
class SelectorsTest extends JmsTest {
    private Session session;
    private Queue queue;

    @BeforeEach
    void open() throws JMSException {
        session = session();
        queue = session.createQueue(name);
    }

    private void sendSample(String text) throws JMSException {
        Message message = session.createTextMessage(text);
        message.setStringProperty("colour", "red");
        message.setIntProperty("size", 42);
        message.setDoubleProperty("weight", 1.5);
        message.setBooleanProperty("fresh", true);
        message.setStringProperty("digits", "10");
        message.setJMSType("fruit");
        message.setJMSCorrelationID("c-1");
        message.setStringProperty("JMSXGroupID", "group");
        MessageProducer producer = session.createProducer(queue);
        producer.setPriority(7);
        producer.send(message);
        producer.close();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '#', value = {
        "colour = 'red'|true",
        "colour <> 'red'|false",
        "colour IN ('green', 'red') AND size BETWEEN 40 AND 50|true",
        "colour NOT IN ('green', 'red')|false",
        "colour LIKE 'r_d' OR size > 100|true",
        "weight * 2 = 3 AND NOT (size < 0)|true",
        "fresh = TRUE|true",
        "fresh AND colour IS NOT NULL|true",
        "absent IS NULL|true",
        "absent = 'x'|false",
        "NOT (absent = 'x')|false",
        "JMSType = 'fruit'|true",
        "JMSCorrelationID = 'c-1'|true",
        "JMSPriority > 6|true",
        "JMSDeliveryMode = 'PERSISTENT'|true",
        "JMSTimestamp > 0|true",
        "JMSXGroupID = 'group'|true",
        "JMSRedelivered = FALSE|true",
        "JMSMessageID LIKE 'ID:%'|true",
        "digits > 9|false",
        "convert_string_expressions:digits > 9|true",
        "convert_string_expressions:size = '42'|true",
    })
    void aConsumerGetsWhatItsSelectorIsTrueFor(String selector, boolean matches) throws JMSException {
        MessageConsumer consumer = session.createConsumer(queue, selector);
        sendSample("sample");
        if (matches) {
            expect(consumer, "sample");
        } else {
            expectNothing(consumer);
            consumer.close();
            assertEquals(List.of("sample"), drain(queue));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"colour =", "= 3", "colour = 'unclosed", "a BETWEEN 1", "(a = 1", "a = 1)", "a LIKE 3",
        "a IN ()", "a AND", "1 +", "colour == 'red'", "a IS 3", "#", "NOT"})
    void aSelectorThatIsNoneIsRefused(String selector) throws JMSException {
        assertThrows(InvalidSelectorException.class, () -> session.createConsumer(queue, selector));
        assertThrows(InvalidSelectorException.class, () -> session.createBrowser(queue, selector).getEnumeration());
        // The connection goes on.
        send(session, queue, "after");
        assertEquals(List.of("after"), drain(queue));
    }

    @Test
    void xpathIsNotSpoken() throws JMSException {
        // Sabir reads no bodies, and says so; ActiveMQ refuses it too unless Xalan is added to it, as here it is not.
        assertThrows(InvalidSelectorException.class, () -> session.createConsumer(queue, "XPATH '//colour'"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "   "})
    void anEmptySelectorIsNone(String selector) throws JMSException {
        MessageConsumer consumer = session.createConsumer(queue, selector.isBlank() ? selector.strip() : selector);
        send(session, queue, "any");
        expect(consumer, "any");
    }

    @Test
    void consumersWithDifferentSelectorsShareAQueue() throws JMSException {
        MessageConsumer even = session.createConsumer(queue, "parity = 0");
        MessageConsumer odd = session.createConsumer(queue, "parity = 1");
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < 20; number++) {
            Message message = session.createTextMessage(Integer.toString(number));
            message.setIntProperty("parity", number % 2);
            producer.send(message);
        }
        for (int number = 0; number < 20; number += 2) {
            expect(even, Integer.toString(number));
            expect(odd, Integer.toString(number + 1));
        }
    }

    @Test
    void whatNobodySelectsStaysInOrder() throws JMSException {
        MessageConsumer picky = session.createConsumer(queue, "JMSType = 'wanted'");
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < 10; number++) {
            Message message = session.createTextMessage(Integer.toString(number));
            message.setJMSType(number == 5 ? "wanted" : "other");
            producer.send(message);
        }
        expect(picky, "5");
        assertEquals(List.of("0", "1", "2", "3", "4", "6", "7", "8", "9"), drain(queue));
    }

    @Test
    void redeliveredMessagesCanBeSelected() throws JMSException {
        send(session, queue, "again");
        ActiveMQConnection connection = connect();
        receive(client(connection).createConsumer(queue));
        connection.close();
        expect(session.createConsumer(queue, "JMSRedelivered = TRUE"), "again");
    }

    @Test
    void selectingInATransaction() throws JMSException {
        Session transacted = transacted(connect("?jms.redeliveryPolicy.initialRedeliveryDelay=1"));
        MessageConsumer consumer = transacted.createConsumer(queue, "size > 40");
        sendSample("chosen");
        send(session, queue, "left");
        expect(consumer, "chosen");
        transacted.rollback();
        expect(consumer, "chosen");
        transacted.commit();
        transacted.close();
        assertEquals(List.of("left"), drain(queue));
    }
}
