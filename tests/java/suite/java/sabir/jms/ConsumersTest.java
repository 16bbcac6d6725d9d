// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Who of several consumers of a queue gets what: in turn, by priority, one alone, or by groups. */
class ConsumersTest extends JmsTest {
    private Session sender;
    private Queue queue;

    @BeforeEach
    void open() throws JMSException {
        sender = session();
        queue = sender.createQueue(name);
    }

    private Queue with(String options) throws JMSException {
        return sender.createQueue(name + "?" + options);
    }

    private void sendGrouped(String group, int position, String text) throws JMSException {
        MessageProducer producer = sender.createProducer(queue);
        Message message = sender.createTextMessage(text);
        message.setStringProperty("JMSXGroupID", group);
        if (position != 0) {
            message.setIntProperty("JMSXGroupSeq", position);
        }
        producer.send(message);
        producer.close();
    }

    @Test
    void competingConsumersShareAndNobodyGetsAnothersMessage() throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        Set<Integer> served = ConcurrentHashMap.newKeySet();
        for (int number = 0; number < 4; number++) {
            int own = number;
            auto(connect("?jms.prefetchPolicy.all=1")).createConsumer(queue).setMessageListener(message -> {
                try {
                    served.add(own);
                    seen.add(text(message));
                } catch (JMSException error) {
                    seen.add(error.toString());
                }
            });
        }
        sendMany(sender, queue, 40);
        Set<String> texts = new HashSet<>();
        for (int number = 0; number < 40; number++) {
            assertTrue(texts.add(next(seen)), "somebody got it twice");
        }
        assertEquals(Set.of(numbers(0, 40)), texts);
        assertEquals(4, served.size(), "everybody got some");
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void anExclusiveConsumerGetsAllUntilItGoes() throws JMSException {
        MessageConsumer first = session().createConsumer(with("consumer.exclusive=true"));
        MessageConsumer second = session().createConsumer(with("consumer.exclusive=true"));
        sendMany(sender, queue, 10);
        expect(first, numbers(0, 10));
        expectNothing(second);
        first.close();
        sendMany(sender, queue, 3);
        expect(second, "0", "1", "2");
    }

    @Test
    void whatAnExclusiveConsumerDidNotAcknowledgeGoesToItsSuccessorInOrder() throws JMSException {
        ActiveMQConnection connection = connect();
        MessageConsumer first = client(connection).createConsumer(with("consumer.exclusive=true"));
        MessageConsumer second = session().createConsumer(with("consumer.exclusive=true"));
        sendMany(sender, queue, 10);
        expect(first, "0", "1", "2");
        expectNothing(second);
        connection.close();
        expect(second, numbers(0, 10));
    }

    @Test
    void anExclusiveConsumerComesBeforeThoseThatAreNot() throws JMSException {
        MessageConsumer plain = session().createConsumer(queue);
        MessageConsumer exclusive = session().createConsumer(with("consumer.exclusive=true"));
        sendMany(sender, queue, 5);
        expect(exclusive, numbers(0, 5));
        expectNothing(plain);
        exclusive.close();
        send(sender, queue, "after");
        expect(plain, "after");
    }

    @Test
    void consumersOfHigherPriorityComeFirst() throws JMSException {
        MessageConsumer low = session().createConsumer(with("consumer.priority=1"));
        MessageConsumer high = session().createConsumer(with("consumer.priority=10"));
        MessageConsumer none = session().createConsumer(queue);
        sendMany(sender, queue, 10);
        expect(high, numbers(0, 10));
        expectNothing(low);
        high.close();
        send(sender, queue, "next");
        expect(low, "next");
        expectNothing(none);
    }

    @Test
    void whatDoesNotFitIntoTheFirstGoesToTheNextPriority() throws JMSException {
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=2");
        MessageConsumer high = client(connection).createConsumer(with("consumer.priority=5"));
        MessageConsumer low = session().createConsumer(with("consumer.priority=-5"));
        sendMany(sender, queue, 5);
        expect(low, "2", "3", "4");
        expect(high, "0", "1");
    }

    @Test
    void messagesOfAGroupGoToOneConsumerInOrder() throws JMSException {
        List<MessageConsumer> consumers = new ArrayList<>();
        for (int number = 0; number < 3; number++) {
            consumers.add(session().createConsumer(queue));
        }
        for (int number = 0; number < 60; number++) {
            sendGrouped("group" + number % 6, 0, Integer.toString(number));
        }
        Map<String, Integer> ownerOf = new HashMap<>();
        Map<String, Integer> lastOf = new HashMap<>();
        int total = 0;
        for (int index = 0; index < consumers.size(); index++) {
            Message message = consumers.get(index).receive(2 * ABSENCE_MS);
            for (; message != null; message = consumers.get(index).receive(ABSENCE_MS)) {
                String group = message.getStringProperty("JMSXGroupID");
                int number = Integer.parseInt(text(message));
                Integer owner = ownerOf.put(group, index);
                assertTrue(owner == null || owner == index, "a group has one owner");
                Integer last = lastOf.put(group, number);
                assertTrue(last == null || last < number, "a group is in order");
                total++;
            }
        }
        assertEquals(60, total);
        assertEquals(Set.of(0, 1, 2), new HashSet<>(ownerOf.values()), "groups are spread over all consumers");
    }

    @Test
    void theFirstMessageOfAGroupForAConsumerIsMarked() throws JMSException {
        MessageConsumer consumer = session().createConsumer(queue);
        sendGrouped("g", 0, "first");
        sendGrouped("g", 0, "second");
        assertTrue(receive(consumer).getBooleanProperty("JMSXGroupFirstForConsumer"));
        Message second = receive(consumer);
        assertFalse(second.propertyExists("JMSXGroupFirstForConsumer")
                && second.getBooleanProperty("JMSXGroupFirstForConsumer"));
    }

    @Test
    void aGroupThatIsClosedMayGoToAnother() throws JMSException {
        MessageConsumer first = session().createConsumer(queue);
        sendGrouped("g", 1, "one");
        expect(first, "one");
        MessageConsumer second = session().createConsumer(queue);
        sendGrouped("g", 2, "two");
        expect(first, "two");
        sendGrouped("g", -1, "closing");
        expect(first, "closing");
        // A new group of that name is assigned afresh: it is marked as a first one, whoever gets it.
        sendGrouped("g", 0, "anew");
        Message anew = first.receive(2 * ABSENCE_MS);
        if (anew == null) {
            anew = receive(second);
        }
        assertEquals("anew", text(anew));
        assertTrue(anew.getBooleanProperty("JMSXGroupFirstForConsumer"));
    }

    @Test
    void aGroupWhoseConsumerGoesIsTakenOverByAnother() throws JMSException {
        ActiveMQConnection connection = connect();
        MessageConsumer first = client(connection).createConsumer(queue);
        sendGrouped("g", 0, "0");
        sendGrouped("g", 0, "1");
        expect(first, "0", "1");
        MessageConsumer second = session().createConsumer(queue);
        sendGrouped("g", 0, "2");
        expectNothing(second);
        connection.close();
        Message taken = receive(second);
        assertEquals("0", text(taken));
        assertTrue(taken.getJMSRedelivered());
        assertTrue(taken.getBooleanProperty("JMSXGroupFirstForConsumer"));
        expect(second, "1", "2");
    }

    @Test
    void aGroupStaysWithItsConsumerThoughOthersAreIdle() throws JMSException {
        MessageConsumer first = auto(connect("?jms.prefetchPolicy.all=1")).createConsumer(queue);
        sendGrouped("g", 0, "0");
        expect(first, "0");
        MessageConsumer idle = session().createConsumer(queue);
        for (int number = 1; number < 6; number++) {
            sendGrouped("g", 0, Integer.toString(number));
        }
        sendGrouped("other", 0, "free");
        expect(first, "1", "2", "3", "4", "5");
        Message free = idle.receive(2 * ABSENCE_MS);
        assertEquals("free", text(free == null ? receive(first) : free));
    }

    @Test
    void groupsAndSelectorsTogether() throws JMSException {
        MessageConsumer chosen = session().createConsumer(queue, "JMSXGroupID = 'a'");
        MessageConsumer other = session().createConsumer(queue, "JMSXGroupID = 'b'");
        for (int number = 0; number < 6; number++) {
            sendGrouped(number % 2 == 0 ? "a" : "b", 0, Integer.toString(number));
        }
        expect(chosen, "0", "2", "4");
        expect(other, "1", "3", "5");
    }

    @Test
    void manyGroupsAllArrive() throws JMSException {
        MessageConsumer first = session().createConsumer(queue);
        MessageConsumer second = session().createConsumer(queue);
        Session bulk = transacted(connect());
        MessageProducer producer = bulk.createProducer(queue);
        for (int number = 0; number < 2000; number++) {
            Message message = bulk.createTextMessage(Integer.toString(number));
            message.setStringProperty("JMSXGroupID", "group" + number);
            producer.send(message);
        }
        bulk.commit();
        int total = 0;
        for (MessageConsumer consumer : List.of(first, second)) {
            int own = 0;
            while (consumer.receive(2 * ABSENCE_MS) != null) {
                own++;
            }
            assertTrue(own > 0, "both have groups");
            total += own;
        }
        assertEquals(2000, total);
    }

    @Test
    void aConsumerThatSelectsDoesNotHoldUpOthers() throws JMSException {
        MessageConsumer picky = session().createConsumer(queue, "colour = 'red'");
        sendMany(sender, queue, 5);
        MessageConsumer any = session().createConsumer(queue);
        expect(any, numbers(0, 5));
        assertNull(picky.receiveNoWait());
        Message red = sender.createTextMessage("red");
        red.setStringProperty("colour", "red");
        any.close();
        sender.createProducer(queue).send(red);
        assertNotNull(receive(picky));
    }
}
