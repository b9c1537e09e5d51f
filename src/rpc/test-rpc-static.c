/* SPDX-License-Identifier: Apache-2.0 */

/* Linked as the agent is. Run without arguments it uses the library for real; test-rpc-static.sh looks at
 * the file. */

#include "rpc-client.h"
#include "rpc-server.h"
#include "tests.h"

int main(void) {
        sd_event *event;
        RpcQueue *queue;
        RpcServer *server;

        assert_ok(sd_event_new(&event));
        assert_ok(rpc_queue_new(&queue, event, 1, 64));
        assert_ok(rpc_server_new(&server, queue, NULL));
        assert_ok(rpc_server_start(server));
        rpc_server_free(server);
        rpc_queue_free(queue);
        sd_event_unref(event);
        return 0;
}
