// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * So many messages sent while nobody receives, or received while nobody sends. A rate counts from the first connection on
 * until the broker has answered for the last message: closing a connection waits for all that was sent through it.
 */
final class Counted {
    private final Order order;
    private final AtomicLong left;

    private Counted(Order order) {
        this.order = order;
        this.left = new AtomicLong(order.messages());
    }

    static Seen run(Order order) throws Exception {
        Counted counted = new Counted(order);
        long cpuBefore = Usage.processNs();
        Usage before = Usage.now();
        Seen seen = new Seen();
        double rate = order.messages() / (order.producers() > 0 ? counted.send() : counted.receive(seen));
        Usage after = Usage.now();
        seen.sentPerS = order.producers() > 0 ? rate : 0;
        seen.receivedPerS = order.producers() > 0 ? 0 : rate;
        seen.processShare = after.processShareSince(before);
        seen.threadShare = after.threadShareSince(before);
        seen.sent = order.messages();
        seen.cpuS = (Usage.processNs() - cpuBefore) / 1e9;
        return seen;
    }

    /** The seconds that it took. */
    private double send() throws Exception {
        long start = System.nanoTime();
        try (Links links = new Links(order)) {
            List<Thread> producers = new ArrayList<>();
            for (int producer = 0; producer < order.producers(); producer++) {
                Links.Sender sender = links.sender();
                producers.add(links.start("producer-" + producer, () -> {
                    while (left.getAndDecrement() > 0) {
                        sender.send(0);
                    }
                }));
            }
            for (Thread producer : producers) {
                producer.join();
            }
            links.check();
        }
        return (System.nanoTime() - start) / 1e9;
    }

    /** The seconds that it took; the first message's are noted. */
    private double receive(Seen seen) throws Exception {
        long start = System.nanoTime();
        AtomicLong first = new AtomicLong();
        CountDownLatch all = new CountDownLatch(1);
        try (Links links = new Links(order)) {
            for (int consumer = 0; consumer < order.consumers(); consumer++) {
                links.consume(message -> {
                    first.compareAndSet(0, System.nanoTime());
                    if (left.decrementAndGet() == 0) {
                        all.countDown();
                    }
                });
            }
            long waited = 0;
            for (long before = left.get(); !all.await(1, TimeUnit.SECONDS); before = left.get()) {
                links.check();
                waited = left.get() < before ? 0 : waited + 1000;
                if (waited > Links.PATIENCE_MS) {
                    throw new IllegalStateException(left + " of " + order.messages() + " messages do not come");
                }
            }
            seen.firstMs = (first.get() - start) / 1e6;
            return (System.nanoTime() - start) / 1e9;
        }
    }
}
