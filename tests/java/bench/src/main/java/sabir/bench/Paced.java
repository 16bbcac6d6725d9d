// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import javax.jms.BytesMessage;
import javax.jms.JMSException;
import javax.jms.Message;

/**
 * At a fixed rate, with latencies from the time at which a message should have been sent to when a listener has it: a
 * stall counts for every message that it held up.
 */
final class Paced {
    private final Order order;
    private final int total;
    private final long intervalNs;
    private final long[] latenciesNs;
    private final AtomicInteger counted = new AtomicInteger();
    private final CountDownLatch missing;
    private long startNs;

    private Paced(Order order) {
        this.order = order;
        this.total = (int) (order.perSecond() * (order.warmUpMs() + order.measureMs()) / 1000);
        this.intervalNs = 1_000_000_000L / order.perSecond();
        this.latenciesNs = new long[total];
        this.missing = new CountDownLatch(total);
    }

    static Seen run(Order order) throws Exception {
        return new Paced(order).run();
    }

    private Seen run() throws Exception {
        long cpuBefore = Usage.processNs();
        Seen seen = new Seen();
        try (Links links = new Links(order)) {
            List<Links.Sender> senders = new ArrayList<>();
            for (int consumer = 0; consumer < order.consumers(); consumer++) {
                links.consume(message -> receive(links, message));
            }
            for (int producer = 0; producer < order.producers(); producer++) {
                senders.add(links.sender());
            }
            Usage before = Usage.now();
            // Late enough for all to stand at the line.
            startNs = System.nanoTime() + 20_000_000;
            for (int producer = 0; producer < order.producers(); producer++) {
                int first = producer;
                links.start("producer-" + producer, () -> send(senders.get(first), first));
            }
            long patienceMs = order.warmUpMs() + order.measureMs() + Links.PATIENCE_MS;
            if (!missing.await(patienceMs, TimeUnit.MILLISECONDS)) {
                links.check();
                throw new IllegalStateException(missing.getCount() + " of " + total + " messages did not come back");
            }
            links.check();
            Usage after = Usage.now();
            seen.processShare = after.processShareSince(before);
            seen.threadShare = after.threadShareSince(before);
        }
        seen.sent = total;
        seen.latencies(latenciesNs, counted.get());
        seen.cpuS = (Usage.processNs() - cpuBefore) / 1e9;
        return seen;
    }

    private void send(Links.Sender sender, int first) throws Exception {
        for (int message = first; message < total; message += order.producers()) {
            long dueNs = message * intervalNs;
            for (long now = elapsedNs(); now < dueNs; now = elapsedNs()) {
                LockSupport.parkNanos(dueNs - now);
            }
            sender.send(dueNs);
        }
    }

    private void receive(Links links, Message message) {
        try {
            long dueNs = ((BytesMessage) message).readLong();
            if (dueNs >= order.warmUpMs() * 1_000_000) {
                latenciesNs[counted.getAndIncrement()] = elapsedNs() - dueNs;
            }
        } catch (JMSException error) {
            links.failure.compareAndSet(null, error);
        }
        missing.countDown();
    }

    private long elapsedNs() {
        return System.nanoTime() - startNs;
    }
}
