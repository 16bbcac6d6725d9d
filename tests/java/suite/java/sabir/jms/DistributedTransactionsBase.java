// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import javax.jms.JMSException;
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

    XASession xa() throws JMSException {
        return connectXa("?jms.redeliveryPolicy.initialRedeliveryDelay=1").createXASession();
    }
}
