// SPDX-License-Identifier: Apache-2.0
package sabir.harness;

import java.util.Locale;

/** Which broker the tests run against. Where the two differ on purpose, a test asks, and says why. */
public enum Peer {
    SABIR,
    ACTIVEMQ;

    /** The one of this run. */
    public static Peer current() {
        return valueOf(System.getProperty("peer", "sabir").toUpperCase(Locale.ROOT));
    }

    /** Whether this run is against the reference. */
    public static boolean isActiveMq() {
        return current() == ACTIVEMQ;
    }
}
