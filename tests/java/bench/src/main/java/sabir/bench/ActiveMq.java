// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.io.File;
import java.net.URI;
import org.apache.activemq.ActiveMQConnectionMetaData;
import org.apache.activemq.broker.BrokerService;
import org.apache.activemq.broker.TransportConnector;
import org.apache.activemq.store.kahadb.KahaDBPersistenceAdapter;
import org.apache.activemq.store.kahadb.disk.journal.Journal.JournalDiskSyncStrategy;
import org.apache.activemq.store.kahadb.disk.journal.Journal.PreallocationStrategy;

/**
 * ActiveMQ as a process that is measured: it says on standard output which it is, where it listens and that it is ready,
 * and ends when the process does that started it.
 *
 * <p>Argument: the folder of its data. The settings are those of docs/bench.md; all that is not named is ActiveMQ's own.
 */
public final class ActiveMq {
    private ActiveMq() {}

    public static void main(String[] arguments) throws Exception {
        ProcessHandle.current().parent()
                .ifPresent(parent -> parent.onExit().thenRun(() -> Runtime.getRuntime().halt(0)));
        File data = new File(arguments[0]);
        BrokerService broker = new BrokerService();
        broker.setBrokerName("localhost");
        broker.setUseJmx(false);
        broker.setUseShutdownHook(false);
        broker.setSchedulerSupport(false);
        broker.setDataDirectoryFile(data);
        broker.setPersistenceAdapter(store(data));
        broker.getSystemUsage().getMemoryUsage().setPercentOfJvmHeap(70);
        broker.getSystemUsage().getStoreUsage().setLimit(20L << 30);
        broker.getSystemUsage().getTempUsage().setLimit(5L << 30);
        TransportConnector connector = broker.addConnector(new URI("tcp://127.0.0.1:0"));
        broker.start();
        broker.waitUntilStarted();
        URI address = connector.getServer().getConnectURI();
        System.out.println("version " + ActiveMQConnectionMetaData.PROVIDER_VERSION);
        System.out.println("listening tcp 127.0.0.1:" + address.getPort() + " openwire");
        System.out.println("ready");
        System.out.flush();
        broker.waitUntilStopped();
    }

    private static KahaDBPersistenceAdapter store(File data) throws Exception {
        KahaDBPersistenceAdapter store = new KahaDBPersistenceAdapter();
        store.setDirectory(new File(data, "kahadb"));
        store.setJournalDiskSyncStrategy(JournalDiskSyncStrategy.ALWAYS.name());
        store.setConcurrentStoreAndDispatchQueues(false);
        store.setPreallocationStrategy(PreallocationStrategy.ZEROS.name());
        return store;
    }
}
