// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How much a consumer is sent ahead, and what a consumer that pulls gets. */
class PrefetchTest extends JmsTest {
    private static final String PULL = "?jms.prefetchPolicy.all=0";

    private Session sender;
    private Queue queue;

    @BeforeEach
    void open() throws JMSException {
        sender = session();
        queue = sender.createQueue(name);
    }

    @Test
    void oneWhoPullsGetsOneMessageForEachReceive() throws JMSException {
        sendMany(sender, queue, 3);
        MessageConsumer pulls = auto(connect(PULL)).createConsumer(queue);
        expect(pulls, "0");
        // The others were not sent ahead: somebody else gets them.
        assertEquals(List.of("1", "2"), drain(queue));
        assertNull(pulls.receiveNoWait());
    }

    @Test
    void pullingWithATimeoutEndsWithNothing() throws JMSException {
        MessageConsumer pulls = auto(connect(PULL)).createConsumer(queue);
        long start = System.nanoTime();
        assertNull(pulls.receive(200));
        assertTrue(System.nanoTime() - start >= TimeUnit.MILLISECONDS.toNanos(190));
        // It was not left asking: the next message goes to who asks for it.
        sendMany(sender, queue, 1);
        assertEquals(List.of("0"), drain(queue));
        assertNull(pulls.receiveNoWait());
    }

    @Test
    void pullingWithoutWaitingTellsAtOnceWhatIsThere() throws JMSException {
        MessageConsumer pulls = auto(connect(PULL)).createConsumer(queue);
        assertNull(pulls.receiveNoWait());
        sendMany(sender, queue, 2);
        assertEquals("0", text(pulls.receiveNoWait()));
        assertEquals("1", text(pulls.receiveNoWait()));
        assertNull(pulls.receiveNoWait());
    }

    @Test
    void pullingWithoutATimeoutWaitsForTheNextMessage() throws Exception {
        MessageConsumer pulls = auto(connect(PULL)).createConsumer(queue);
        CompletableFuture<String> received = CompletableFuture.supplyAsync(() -> {
            try {
                return text(pulls.receive());
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        sendMany(sender, queue, 1);
        assertEquals("0", received.get(PATIENCE_MS, TimeUnit.MILLISECONDS));
    }

    @Test
    void aMessageThatComesWhileOnePullsWithATimeoutIsTaken() throws Exception {
        MessageConsumer pulls = auto(connect(PULL)).createConsumer(queue);
        CompletableFuture<String> received = CompletableFuture.supplyAsync(() -> {
            try {
                return text(receive(pulls));
            } catch (JMSException error) {
                throw new IllegalStateException(error);
            }
        });
        sendMany(sender, queue, 1);
        assertEquals("0", received.get(PATIENCE_MS, TimeUnit.MILLISECONDS));
    }

    @ParameterizedTest
    @ValueSource(ints = {Session.CLIENT_ACKNOWLEDGE, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE})
    void onePullsFurtherWithoutAcknowledging(int mode) throws JMSException {
        sendMany(sender, queue, 5);
        ActiveMQConnection connection = connect(PULL);
        MessageConsumer pulls = connection.createSession(false, mode).createConsumer(queue);
        expect(pulls, numbers(0, 5));
        assertNull(pulls.receiveNoWait());
        connection.close();
        assertEquals(List.of("0", "1", "2", "3", "4"), drain(queue));
    }

    @Test
    void pullingWorksInTransactions() throws JMSException {
        sendMany(sender, queue, 5);
        ActiveMQConnection connection = connect(PULL + "&jms.redeliveryPolicy.initialRedeliveryDelay=1");
        Session session = transacted(connection);
        MessageConsumer pulls = session.createConsumer(queue);
        expect(pulls, "0", "1");
        session.rollback();
        expect(pulls, "0", "1", "2");
        session.commit();
        connection.close();
        assertEquals(List.of("3", "4"), drain(queue));
    }

    @Test
    void pullingFromADurableSubscription() throws JMSException {
        ActiveMQConnection connection = start(factory(PULL + "&jms.clientID=" + name));
        Session session = auto(connection);
        MessageConsumer pulls = session.createDurableSubscriber(session.createTopic(name), "sub");
        assertNull(pulls.receiveNoWait());
        sendMany(sender, sender.createTopic(name), 3);
        expect(pulls, "0", "1", "2");
        assertNull(pulls.receiveNoWait());
    }

    @Test
    void aPrefetchOfOneLeavesTheRestToOthers() throws JMSException {
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=1");
        MessageConsumer slow = client(connection).createConsumer(queue);
        sendMany(sender, queue, 10);
        MessageConsumer quick = auto(connect("?jms.prefetchPolicy.all=1")).createConsumer(queue);
        List<String> quickly = take(quick, 9);
        assertEquals(List.of(numbers(1, 10)), quickly);
        expect(slow, "0");
    }

    @Test
    void thePrefetchIsSharedOutInTurn() throws JMSException {
        MessageConsumer first = auto(connect("?jms.prefetchPolicy.all=10")).createConsumer(queue);
        MessageConsumer second = auto(connect("?jms.prefetchPolicy.all=10")).createConsumer(queue);
        sendMany(sender, queue, 20);
        assertEquals(10, take(first, 10).size());
        assertEquals(10, take(second, 10).size());
    }

    @Test
    void whatWasReceivedMakesRoomForMoreBeforeItIsAcknowledged() throws JMSException {
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=2");
        MessageConsumer consumer = client(connection).createConsumer(queue);
        sendMany(sender, queue, 20);
        Message last = null;
        for (String text : numbers(0, 20)) {
            last = receive(consumer);
            assertEquals(text, text(last));
        }
        last.acknowledge();
        connection.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void prefetchesOfTopicsHoldBackAndLoseNothing() throws JMSException {
        ActiveMQConnection connection = connect("?jms.prefetchPolicy.all=3");
        MessageConsumer consumer = auto(connection).createConsumer(sender.createTopic(name));
        sendMany(sender, sender.createTopic(name), 100);
        expect(consumer, numbers(0, 100));
        expectNothing(consumer);
    }

    @Test
    void aLargeBacklogArrivesInOrderThroughASmallPrefetch() throws JMSException {
        Session bulk = transacted(connect());
        sendMany(bulk, queue, 2000);
        bulk.commit();
        MessageConsumer consumer = auto(connect("?jms.prefetchPolicy.all=7")).createConsumer(queue);
        expect(consumer, numbers(0, 2000));
        expectNothing(consumer);
    }
}
