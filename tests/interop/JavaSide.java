/*
 * The other side of `make interop`: awslabs/amazon-dynamodb-lock-client. Same
 * modes, values and words as device.c; besides, keep=1 keeps items on release
 * (withDeleteLockOnRelease(false)), update=1 updates them on acquire
 * (withUpdateExistingLockRecord(true)).
 */
import com.amazonaws.services.dynamodbv2.AcquireLockOptions;
import com.amazonaws.services.dynamodbv2.AmazonDynamoDBLockClient;
import com.amazonaws.services.dynamodbv2.AmazonDynamoDBLockClientOptions;
import com.amazonaws.services.dynamodbv2.LockItem;
import com.amazonaws.services.dynamodbv2.model.LockNotGrantedException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.Socket;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;

public final class JavaSide {
    private static final Map<String, String> values = new HashMap<>();
    private static AmazonDynamoDBLockClient client;

    private static String value(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    private static long number(String name, String otherwise) {
        return Long.parseLong(value(name, otherwise));
    }

    private static AmazonDynamoDBLockClient setUp() {
        DynamoDbClient dynamo = DynamoDbClient.builder()
            .endpointOverride(URI.create(value("endpoint", null)))
            .region(Region.US_EAST_1)
            .build();
        long lease = number("lease", "2000");
        AmazonDynamoDBLockClientOptions.AmazonDynamoDBLockClientOptionsBuilder options =
            AmazonDynamoDBLockClientOptions.builder(dynamo, value("table", null))
                .withOwnerName(value("owner", "java"))
                .withTimeUnit(TimeUnit.MILLISECONDS)
                .withLeaseDuration(lease)
                .withHeartbeatPeriod(lease / 4)
                .withCreateHeartbeatBackgroundThread(true)
                .withPartitionKeyName(value("key_name", "key"));
        if (values.containsKey("sort_name")) options.withSortKeyName(values.get("sort_name"));
        return new AmazonDynamoDBLockClient(options.build());
    }

    private static LockItem acquire(long waitMs) throws InterruptedException {
        AcquireLockOptions.AcquireLockOptionsBuilder options =
            AcquireLockOptions.builder(value("key", null))
                .withTimeUnit(TimeUnit.MILLISECONDS)
                .withRefreshPeriod(20L)
                .withAdditionalTimeToWaitForLock(waitMs)
                .withDeleteLockOnRelease(!values.containsKey("keep"))
                .withUpdateExistingLockRecord(values.containsKey("update"));
        if (values.containsKey("sort")) options.withSortKey(values.get("sort"));
        if (values.containsKey("data"))
            options.withData(ByteBuffer.wrap(
                values.get("data").getBytes(StandardCharsets.ISO_8859_1)));
        return client.acquireLock(options.build());
    }

    private static LockItem acquireForever() throws InterruptedException {
        for (;;) {
            try {
                return acquire(60000);
            } catch (LockNotGrantedException stillHeld) {
                continue;
            }
        }
    }

    private static int work() throws Exception {
        Socket socket = new Socket("127.0.0.1", (int) number("witness", "0"));
        socket.setTcpNoDelay(true);
        BufferedReader in = new BufferedReader(
            new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(socket.getOutputStream(), true);

        out.println("java " + ProcessHandle.current().pid());
        for (boolean stop = false; !stop;) {
            LockItem lock = acquireForever();
            out.println("enter 0");
            String[] orders = in.readLine().split(" ");
            Thread.sleep(Long.parseLong(orders[1]));
            if (lock.isExpired()) out.println("lost 0");
            else out.println("leave " + (Long.parseLong(orders[0]) + 1));
            stop = in.readLine().equals("stop");
            if (!client.releaseLock(lock)) System.out.println("release refused");
            Thread.sleep(number("pause", "60"));
        }
        return 0;
    }

    private static int hold() throws Exception {
        LockItem lock = acquire(20000);
        System.out.println("held 0");
        System.in.read();
        if (lock.isExpired() || !client.releaseLock(lock)) return 1;
        System.out.println("released");
        return 0;
    }

    private static int tryOnce() throws Exception {
        try {
            LockItem lock = acquire(0);
            System.out.println("held 0");
            client.releaseLock(lock);
        } catch (LockNotGrantedException refused) {
            System.out.println("busy");
        }
        return 0;
    }

    private static int look() {
        Optional<LockItem> found = client.getLockFromDynamoDB(
            com.amazonaws.services.dynamodbv2.GetLockOptions.builder(value("key", null))
                .withSortKey(value("sort", null)).build());
        if (found.isEmpty()) {
            System.out.println("absent");
            return 0;
        }
        LockItem item = found.get();
        byte[] data = new byte[item.getData().map(ByteBuffer::remaining).orElse(0)];
        item.getData().ifPresent(buffer -> buffer.duplicate().get(data));
        System.out.printf("there owner=%s lease=%d fence=%s data=%s%n",
            item.getOwnerName(), item.getLeaseDuration(),
            item.getAdditionalAttributes().containsKey("fence")
                ? item.getAdditionalAttributes().get("fence").n() : "0",
            new String(data, StandardCharsets.ISO_8859_1));
        return 0;
    }

    private static int run(String mode) throws Exception {
        switch (mode) {
        case "work": return work();
        case "hold": return hold();
        case "try": return tryOnce();
        case "look": return look();
        default: return 64;
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (int i = 1; i < arguments.length; i++) {
            String[] pair = arguments[i].split("=", 2);
            values.put(pair[0], pair[1]);
        }
        client = setUp();
        System.exit(run(arguments[0])); // the heartbeat thread goes with it
    }
}
