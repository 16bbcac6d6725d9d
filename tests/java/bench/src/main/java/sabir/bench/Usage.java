// SPDX-License-Identifier: Apache-2.0
package sabir.bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.HashMap;
import java.util.Map;

/** CPU time of this process and of each of its threads at a moment: where a thread is always busy, the client is the bound. */
record Usage(long atNs, long allNs, Map<Long, Long> threadsNs) {
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static final OperatingSystemMXBean SYSTEM =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    static Usage now() {
        Map<Long, Long> threads = new HashMap<>();
        for (long id : THREADS.getAllThreadIds()) {
            threads.put(id, THREADS.getThreadCpuTime(id));
        }
        return new Usage(System.nanoTime(), processNs(), threads);
    }

    /** User and system time of all threads so far, those of the virtual machine included. */
    static long processNs() {
        return SYSTEM.getProcessCpuTime();
    }

    double secondsSince(Usage before) {
        return (atNs - before.atNs) / 1e9;
    }

    /** The part of all processors that this process had. */
    double processShareSince(Usage before) {
        return (allNs - before.allNs) / 1e9 / secondsSince(before) / Runtime.getRuntime().availableProcessors();
    }

    /** The part of one processor that the busiest thread had. */
    double threadShareSince(Usage before) {
        long most = threadsNs.entrySet().stream().filter(thread -> before.threadsNs.containsKey(thread.getKey()))
                .mapToLong(thread -> thread.getValue() - before.threadsNs.get(thread.getKey())).max().orElse(0);
        return most / 1e9 / secondsSince(before);
    }
}
