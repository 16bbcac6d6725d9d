// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.XASession;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQXAConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.junit.jupiter.api.function.Executable;

/** The steps of a transaction manager, one by one. */
abstract class DistributedTransactionsBase extends JmsTest {
    /** The name of a branch; equal in all its parts to what the broker gives back. */
    record Branch(int getFormatId, String global, String qualifier) implements Xid {
        @Override
        public byte[] getGlobalTransactionId() {
            return global.getBytes(StandardCharsets.US_ASCII);
        }

        @Override
        public byte[] getBranchQualifier() {
            return qualifier.getBytes(StandardCharsets.US_ASCII);
        }

        boolean is(Xid other) {
            return other.getFormatId() == getFormatId
                    && Arrays.equals(other.getGlobalTransactionId(), getGlobalTransactionId())
                    && Arrays.equals(other.getBranchQualifier(), getBranchQualifier());
        }
    }

    /** What is known from outside to be prepared, of this test's own. */
    static boolean isListed(XAResource resource, Branch branch) throws XAException {
        Xid[] listed = resource.recover(XAResource.TMSTARTRSCAN | XAResource.TMENDRSCAN);
        return Arrays.stream(listed).anyMatch(branch::is);
    }

    static void end(XAResource resource, Xid branch) throws XAException {
        resource.end(branch, XAResource.TMSUCCESS);
    }

    static void begin(XAResource resource, Xid branch) throws XAException {
        resource.start(branch, XAResource.TMNOFLAGS);
    }

    static int code(Executable step) {
        return assertThrows(XAException.class, step).errorCode;
    }

    /** A branch of this test's own. */
    Branch branch(String qualifier) {
        String global = Integer.toHexString(name.hashCode()) + Long.toString(System.nanoTime(), 36);
        return new Branch(77, global, qualifier);
    }

    ActiveMQXAConnection connectXa(String options) throws JMSException {
        ActiveMQXAConnectionFactory factory = new ActiveMQXAConnectionFactory(brokerUri() + options);
        ActiveMQXAConnection connection = closing((ActiveMQXAConnection) factory.createXAConnection());
        connection.start();
        return connection;
    }

    /**
     * Two branches are prepared, and the broker comes to harm: of three messages each has consumed one, and each has sent
     * elsewhere. One is to be committed, the other rolled back.
     */
    final class TwoBranches {
        final ActiveMQXAConnection connection = connectXa("");
        final XASession session = connection.createXASession();
        final XAResource resource = session.getXAResource();
        final Queue queue = session.createQueue(name);
        final Queue other = session.createQueue(name + ".other");
        final MessageConsumer consumer;
        final Branch committed;
        final Branch rolledBack;

        TwoBranches() throws Exception {
            sendMany(session(), queue, 3);
            consumer = session.createConsumer(queue);
            committed = prepare("committed", "0", "a", "b");
            rolledBack = prepare("rolled back", "1", "never");
        }

        private Branch prepare(String qualifier, String consumed, String... sent) throws Exception {
            Branch branch = work(qualifier, consumed, sent);
            assertEquals(XAResource.XA_OK, resource.prepare(branch));
            return branch;
        }

        /** One more branch, which is not prepared. */
        Branch work(String qualifier, String consumed, String... sent) throws Exception {
            Branch branch = branch(qualifier);
            begin(resource, branch);
            expect(consumer, consumed);
            send(session, other, sent);
            end(resource, branch);
            return branch;
        }

        /** A transaction manager that comes back finds both, and ends them. */
        void mustBeThereAndEnd(XAResource recovering) throws Exception {
            assertTrue(isListed(recovering, committed) && isListed(recovering, rolledBack));
            assertEquals(List.of("2"), drain(queue));
            assertEquals(List.of(), drain(other));
            recovering.commit(committed, false);
            recovering.rollback(rolledBack);
            assertFalse(isListed(recovering, committed) || isListed(recovering, rolledBack));
            assertEquals(List.of("a", "b"), drain(other));
        }
    }

    XASession xa() throws JMSException {
        return connectXa("?jms.redeliveryPolicy.initialRedeliveryDelay=1").createXASession();
    }
}
