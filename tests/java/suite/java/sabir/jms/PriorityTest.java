// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.junit.jupiter.api.Test;
import sabir.harness.Peer;

/** Whether messages of higher priority overtake others. */
class PriorityTest extends JmsTest {
    /** Sends one message of each priority, the lowest first. */
    private static void sendEachPriority(Session session, Queue queue) throws JMSException {
        MessageProducer producer = session.createProducer(queue);
        for (int priority = 0; priority <= 9; priority++) {
            producer.setPriority(priority);
            producer.send(session.createTextMessage("priority " + priority));
        }
    }

    private static String[] descending() {
        List<String> texts = new ArrayList<>();
        for (int priority = 9; priority >= 0; priority--) {
            texts.add("priority " + priority);
        }
        return texts.toArray(String[]::new);
    }

    @Test
    void waitingMessagesOfHigherPriorityComeFirst() throws JMSException {
        // The reference is told to honour priorities in queues below «prioritized»; Sabir does so everywhere.
        Session session = session();
        Queue queue = session.createQueue("prioritized." + name);
        sendEachPriority(session, queue);
        MessageConsumer consumer = auto(connect("?jms.prefetchPolicy.all=1")).createConsumer(queue);
        if (Peer.isActiveMq()) {
            // ActiveMQ keeps three bands in its store, and the order within each is that of sending; Sabir all ten.
            List<String> received = take(consumer, 10);
            assertEquals("priority 0", received.get(9).replaceAll("[1-3]", "0"));
            assertEquals(List.of("priority 4"), received.subList(5, 6));
        } else {
            expect(consumer, descending());
        }
    }

    @Test
    void messagesOfOnePriorityKeepTheirOrder() throws JMSException {
        Session session = session();
        Queue queue = session.createQueue("prioritized." + name);
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < 20; number++) {
            producer.setPriority(number % 2 == 0 ? 9 : 1);
            producer.send(session.createTextMessage(Integer.toString(number)));
        }
        MessageConsumer consumer = auto(connect("?jms.prefetchPolicy.all=1")).createConsumer(queue);
        for (int number = 0; number < 20; number += 2) {
            expect(consumer, Integer.toString(number));
        }
        for (int number = 1; number < 20; number += 2) {
            expect(consumer, Integer.toString(number));
        }
    }

    @Test
    void whatIsUsualWhereNothingIsConfigured() throws JMSException {
        Session session = session();
        Queue queue = session.createQueue(name);
        sendEachPriority(session, queue);
        MessageConsumer consumer = auto(connect("?jms.prefetchPolicy.all=1")).createConsumer(queue);
        if (Peer.isActiveMq()) {
            // ActiveMQ's prioritizedMessages is off unless it is configured.
            for (int priority = 0; priority <= 9; priority++) {
                expect(consumer, "priority " + priority);
            }
        } else {
            expect(consumer, descending());
        }
    }
}
