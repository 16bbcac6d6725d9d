// SPDX-License-Identifier: Apache-2.0
package sabir.jms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.arjuna.ats.arjuna.common.CoordinatorEnvironmentBean;
import com.arjuna.ats.arjuna.common.ObjectStoreEnvironmentBean;
import com.arjuna.ats.arjuna.common.arjPropertyManager;
import com.arjuna.ats.arjuna.common.recoveryPropertyManager;
import com.arjuna.ats.arjuna.recovery.RecoveryManager;
import com.arjuna.ats.internal.arjuna.recovery.AtomicActionRecoveryModule;
import com.arjuna.ats.internal.jta.recovery.arjunacore.JTANodeNameXAResourceOrphanFilter;
import com.arjuna.ats.internal.jta.recovery.arjunacore.JTATransactionLogXAResourceOrphanFilter;
import com.arjuna.ats.internal.jta.recovery.arjunacore.XARecoveryModule;
import com.arjuna.ats.jta.common.jtaPropertyManager;
import com.arjuna.ats.jta.recovery.XAResourceRecoveryHelper;
import com.arjuna.common.internal.util.propertyservice.BeanPopulator;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.XASession;
import jakarta.transaction.TransactionManager;
import java.nio.file.Path;
import java.util.List;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQXAConnection;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import sabir.harness.Broker;

/** Narayana, the transaction manager of application servers, with the broker as one of two resources. */
@Timeout(180)
class TransactionManagerTest extends DistributedTransactionsBase {
    @TempDir
    static Path log;

    private static RecoveryManager recovery;

    private final Broker broker = closing(Broker.start());

    @BeforeAll
    static void configure() throws Exception {
        arjPropertyManager.getCoreEnvironmentBean().setNodeIdentifier("sabir-test");
        for (String store : new String[] {null, "stateStore", "communicationStore"}) {
            BeanPopulator.getNamedInstance(ObjectStoreEnvironmentBean.class, store).setObjectStoreDir(log.toString());
        }
        BeanPopulator.getDefaultInstance(CoordinatorEnvironmentBean.class).setTransactionStatusManagerEnable(false);
        jtaPropertyManager.getJTAEnvironmentBean().setXaRecoveryNodes(List.of("sabir-test"));
        jtaPropertyManager.getJTAEnvironmentBean().setXaResourceOrphanFilterClassNames(List.of(
                JTATransactionLogXAResourceOrphanFilter.class.getName(),
                JTANodeNameXAResourceOrphanFilter.class.getName()));
        recoveryPropertyManager.getRecoveryEnvironmentBean().setRecoveryBackoffPeriod(1);
        recoveryPropertyManager.getRecoveryEnvironmentBean().setRecoveryModuleClassNames(
                List.of(AtomicActionRecoveryModule.class.getName(), XARecoveryModule.class.getName()));
        recovery = RecoveryManager.manager(RecoveryManager.DIRECT_MANAGEMENT);
    }

    @Override
    String brokerUri() {
        return broker.uri();
    }

    /** The other resource: it always agrees, and does something when it is told to commit or to prepare. */
    private static final class Other implements XAResource {
        private final AutoCloseable atPrepare;
        private final AutoCloseable atCommit;

        Other(AutoCloseable atPrepare, AutoCloseable atCommit) {
            this.atPrepare = atPrepare;
            this.atCommit = atCommit;
        }

        private static void run(AutoCloseable step) throws XAException {
            try {
                step.close();
            } catch (XAException error) {
                throw error;
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }

        @Override
        public int prepare(Xid xid) throws XAException {
            run(atPrepare);
            return XA_OK;
        }

        @Override
        public void commit(Xid xid, boolean onePhase) throws XAException {
            run(atCommit);
        }

        @Override
        public void rollback(Xid xid) {}

        @Override
        public void start(Xid xid, int flags) {}

        @Override
        public void end(Xid xid, int flags) {}

        @Override
        public void forget(Xid xid) {}

        @Override
        public boolean isSameRM(XAResource other) {
            return this == other;
        }

        @Override
        public Xid[] recover(int flag) {
            return new Xid[0];
        }

        @Override
        public int getTransactionTimeout() {
            return 0;
        }

        @Override
        public boolean setTransactionTimeout(int seconds) {
            return false;
        }
    }

    private static TransactionManager manager() {
        return com.arjuna.ats.jta.TransactionManager.transactionManager();
    }

    @Test
    void twoResourcesCommitTogetherOrNotAtAll() throws Exception {
        ActiveMQXAConnection connection = connectXa("?jms.redeliveryPolicy.initialRedeliveryDelay=1");
        XASession session = connection.createXASession();
        Queue queue = session.createQueue(name);
        Queue other = session.createQueue(name + ".other");
        sendMany(session(), queue, 1);
        MessageConsumer consumer = session.createConsumer(queue);
        for (boolean agrees : new boolean[] {false, true}) {
            manager().begin();
            manager().getTransaction().enlistResource(session.getXAResource());
            manager().getTransaction().enlistResource(new Other(() -> {
                if (!agrees) {
                    throw new XAException(XAException.XA_RBROLLBACK);
                }
            }, () -> {}));
            expect(consumer, "0");
            send(session, other, agrees ? "yes" : "no");
            if (agrees) {
                manager().commit();
            } else {
                assertThrows(jakarta.transaction.RollbackException.class, () -> manager().commit());
            }
        }
        session.close();
        assertEquals(List.of("yes"), drain(other));
        assertEquals(List.of(), drain(queue));
    }

    @Test
    void whatTheBrokerHadPreparedWhenItDiedIsCommittedByRecovery() throws Exception {
        ActiveMQXAConnection connection = connectXa("");
        XASession session = connection.createXASession();
        Queue queue = session.createQueue(name);
        Queue other = session.createQueue(name + ".other");
        sendMany(session(), queue, 2);
        MessageConsumer consumer = session.createConsumer(queue);
        manager().begin();
        // The one that is told first to commit: by then both have agreed.
        manager().getTransaction().enlistResource(new Other(() -> {}, () -> {
            broker.kill();
            breakLink(connection);
            broker.restart();
        }));
        manager().getTransaction().enlistResource(session.getXAResource());
        expect(consumer, "0");
        send(session, other, "sent");
        try {
            manager().commit();
        } catch (jakarta.transaction.HeuristicMixedException unfinished) {
            // The broker had not answered when the manager wrote down what was left to be done.
        }
        assertEquals(List.of("1"), drain(queue));
        assertEquals(List.of(), drain(other));
        XAResource recovering = xa().getXAResource();
        assertEquals(1, recovering.recover(XAResource.TMSTARTRSCAN).length);

        XARecoveryModule module = (XARecoveryModule) recovery.getModules().stream()
                .filter(XARecoveryModule.class::isInstance).findFirst().orElseThrow();
        module.addXAResourceRecoveryHelper(new XAResourceRecoveryHelper() {
            @Override
            public boolean initialise(String properties) {
                return true;
            }

            @Override
            public XAResource[] getXAResources() {
                return new XAResource[] {recovering};
            }
        });
        eventually("recovery has ended it", () -> {
            recovery.scan();
            try {
                return recovering.recover(XAResource.TMSTARTRSCAN).length == 0;
            } catch (XAException error) {
                throw new IllegalStateException(error);
            }
        });
        assertEquals(List.of("sent"), drain(other));
        assertEquals(List.of(), drain(queue));
        assertFalse(isListed(recovering, branch("none")));
    }
}
