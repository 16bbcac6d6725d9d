// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.XASession;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQXAConnection;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Branches of distributed transactions, driven as a transaction manager does. */
class DistributedTransactionsTest extends DistributedTransactionsBase {
    @Test
    void nothingIsSeenBeforeTheCommit() throws Exception {
        XASession session = xa();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Queue other = session.createQueue(name + ".other");
        sendMany(session(), queue, 1);
        MessageConsumer outside = session().createConsumer(other);
        Branch branch = branch("b");
        MessageConsumer consumer = session.createConsumer(queue);
        begin(resource, branch);
        expect(consumer, "0");
        send(session, other, "a", "b");
        end(resource, branch);
        expectNothing(outside);
        assertEquals(XAResource.XA_OK, resource.prepare(branch));
        assertTrue(isListed(resource, branch));
        expectNothing(outside);
        resource.commit(branch, false);
        expect(outside, "a", "b");
        assertFalse(isListed(resource, branch));
        session.close();
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void onePhaseIsEnoughForASingleResource() throws Exception {
        XASession session = xa();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Branch branch = branch("b");
        begin(resource, branch);
        sendMany(session, queue, 3);
        end(resource, branch);
        resource.commit(branch, true);
        assertEquals(List.of(numbers(0, 3)), drain(queue));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void rollbackDestroysWhatWasProducedAndReturnsWhatWasConsumed(boolean prepare) throws Exception {
        XASession session = xa();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Queue other = session.createQueue(name + ".other");
        sendMany(session(), queue, 2);
        MessageConsumer consumer = session.createConsumer(queue);
        Branch first = branch("1");
        begin(resource, first);
        expect(consumer, "0");
        send(session, other, "never");
        end(resource, first);
        if (prepare) {
            assertEquals(XAResource.XA_OK, resource.prepare(first));
        }
        resource.rollback(first);
        Branch second = branch("2");
        begin(resource, second);
        Message again = receive(consumer);
        assertEquals("0", text(again));
        assertTrue(again.getJMSRedelivered());
        expect(consumer, "1");
        end(resource, second);
        resource.commit(second, true);
        session.close();
        assertEquals(List.of(), drain(queue));
        assertEquals(List.of(), drain(other));
    }

    @Test
    void aBranchThatDidNothingIsReadOnly() throws Exception {
        XASession session = xa();
        XAResource resource = session.getXAResource();
        Branch branch = branch("b");
        begin(resource, branch);
        end(resource, branch);
        assertEquals(XAResource.XA_RDONLY, resource.prepare(branch));
        assertFalse(isListed(resource, branch));
    }

    @Test
    void branchesAreSuspendedResumedAndInterleaved() throws Exception {
        XASession session = xa();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Queue other = session.createQueue(name + ".other");
        Branch first = branch("1");
        Branch second = branch("2");
        begin(resource, first);
        send(session, queue, "a");
        resource.end(first, XAResource.TMSUSPEND);
        begin(resource, second);
        send(session, other, "x");
        end(resource, second);
        resource.start(first, XAResource.TMRESUME);
        send(session, queue, "b");
        end(resource, first);
        assertEquals(XAResource.XA_OK, resource.prepare(second));
        assertEquals(XAResource.XA_OK, resource.prepare(first));
        resource.rollback(second);
        resource.commit(first, false);
        assertEquals(List.of("a", "b"), drain(queue));
        assertEquals(List.of(), drain(other));
    }

    @Test
    void twoConnectionsTakePartInOneBranch() throws Exception {
        XASession producing = xa();
        XASession consuming = xa();
        XAResource first = producing.getXAResource();
        XAResource second = consuming.getXAResource();
        Queue queue = producing.createQueue(name);
        Queue other = producing.createQueue(name + ".other");
        sendMany(session(), queue, 1);
        assertTrue(first.isSameRM(second));
        Branch branch = branch("b");
        begin(first, branch);
        second.start(branch, XAResource.TMJOIN);
        MessageConsumer consumer = consuming.createConsumer(queue);
        expect(consumer, "0");
        send(producing, other, "a");
        send(consuming, other, "b");
        end(first, branch);
        end(second, branch);
        assertEquals(XAResource.XA_OK, first.prepare(branch));
        second.commit(branch, false);
        List<String> sent = drain(other);
        assertEquals(List.of("a", "b"), sent.stream().sorted().toList());
        consuming.close();
        assertEquals(List.of(), drain(queue));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatIsPreparedOutlivesItsConnection(boolean commit) throws Exception {
        ActiveMQXAConnection connection = connectXa("");
        XASession session = connection.createXASession();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Queue other = session.createQueue(name + ".other");
        sendMany(session(), queue, 2);
        Branch branch = branch("b");
        MessageConsumer consumer = session.createConsumer(queue);
        begin(resource, branch);
        expect(consumer, "0");
        send(session, other, "sent");
        end(resource, branch);
        assertEquals(XAResource.XA_OK, resource.prepare(branch));
        breakLink(connection);
        // It comes when the broker has heard of the broken link.
        ActiveMQConnection watching = connect();
        expect(auto(watching).createConsumer(queue), "1");
        watching.close();
        assertEquals(List.of(), drain(other));
        XAResource recovering = xa().getXAResource();
        assertTrue(isListed(recovering, branch));
        if (commit) {
            recovering.commit(branch, false);
        } else {
            recovering.rollback(branch);
        }
        assertFalse(isListed(recovering, branch));
        assertEquals(commit ? List.of() : List.of("0"), drain(queue));
        assertEquals(commit ? List.of("sent") : List.of(), drain(other));
    }

    @Test
    void aBranchThatIsNotPreparedEndsWithItsConnection() throws Exception {
        ActiveMQXAConnection connection = connectXa("");
        XASession session = connection.createXASession();
        XAResource resource = session.getXAResource();
        Queue queue = session.createQueue(name);
        Branch branch = branch("b");
        begin(resource, branch);
        send(session, queue, "never");
        end(resource, branch);
        breakLink(connection);
        XAResource other = xa().getXAResource();
        // The broker hears of the broken link in its own time.
        eventually("the branch is gone", () -> {
            try {
                other.commit(branch, false);
                return false;
            } catch (XAException error) {
                return error.errorCode == XAException.XAER_NOTA;
            }
        });
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void transactionManagersAreToldWhatIsWrong() throws Exception {
        XASession session = xa();
        XAResource resource = session.getXAResource();
        Branch branch = branch("b");
        assertEquals(XAException.XAER_NOTA, code(() -> resource.commit(branch, false)));
        assertEquals(XAException.XAER_NOTA, code(() -> resource.commit(branch, true)));
        assertEquals(XAException.XAER_NOTA, code(() -> resource.rollback(branch)));
        assertEquals(XAException.XAER_NOTA, code(() -> resource.forget(branch)));
        begin(resource, branch);
        send(session, session.createQueue(name), "x");
        end(resource, branch);
        assertEquals(XAException.XAER_PROTO, code(() -> resource.commit(branch, false)));
        resource.rollback(branch);
    }
}
