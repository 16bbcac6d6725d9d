/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest transport that there can be, as somebody wrote it when version 1.0 was new. A test compiles it against
   the frozen header of that version, and today's host must load and use it. */
#ifdef FROZEN_HEADER
#include FROZEN_HEADER
#else
#include <sabir_plugin.h>
#endif

#define TEXT(text) {(const uint8_t *)(text), sizeof(text) - 1}

static int instances;

static int64_t open_instance(const sabir_host *host, sabir_slice config, void **out, sabir_error *error)
{
    (void)config;
    (void)error;
    if (host->struct_size < sizeof(sabir_host) || host->abi_major != SABIR_ABI_MAJOR)
        return SABIR_ERR_INVALID;
    instances++;
    *out = &instances;
    return SABIR_OK;
}

static int64_t read_link(void *link, const sabir_waker *waker, uint8_t *buf, size_t len, sabir_chunk_info *info,
                         sabir_error *error)
{
    (void)link;
    (void)waker;
    (void)info;
    (void)error;
    if (len < 3)
        return SABIR_ERR_INVALID;
    buf[0] = 'o';
    buf[1] = 'l';
    buf[2] = 'd';
    return 3;
}

static int64_t write_link(void *link, const sabir_waker *waker, const sabir_iovec *iov, size_t count,
                          const sabir_chunk_info *info, sabir_error *error)
{
    static const char text[] = "this link only tells";
    (void)link;
    (void)waker;
    (void)iov;
    (void)count;
    (void)info;
    if (error != NULL && error->struct_size >= sizeof(sabir_error)) {
        error->code = SABIR_ERR_UNSUPPORTED;
        error->message.ptr = (const uint8_t *)text;
        error->message.len = sizeof(text) - 1;
    }
    return SABIR_ERR_UNSUPPORTED;
}

static void drop_link(void *link)
{
    (void)link;
}

static const sabir_link_vtable link_table = {
    .struct_size = sizeof(sabir_link_vtable),
    .framing = SABIR_FRAMING_STREAM,
    .poll_read = read_link,
    .poll_write = write_link,
    .drop = drop_link,
};

static int64_t connect_link(void *transport, sabir_slice uri, sabir_link *out, sabir_error *error)
{
    (void)uri;
    (void)error;
    out->object = transport;
    out->vtable = &link_table;
    return SABIR_OK;
}

static void close_instance(void *transport)
{
    (void)transport;
    instances--;
}

static const sabir_transport_vtable table = {
    .struct_size = sizeof(sabir_transport_vtable),
    .open = open_instance,
    .connect = connect_link,
    .close = close_instance,
};

static const sabir_component components[] = {{
    .kind = SABIR_KIND_TRANSPORT,
    .name = TEXT("old"),
    .capabilities = SABIR_CAP_TRANSPORT_CONNECT,
    .vtable = &table,
}};

static const sabir_plugin plugin = {
    .magic = SABIR_PLUGIN_MAGIC,
    .struct_size = sizeof(sabir_plugin),
    .abi_major = SABIR_ABI_MAJOR,
    .abi_minor = SABIR_ABI_MINOR,
    .name = TEXT("old-plugin"),
    .version = TEXT("1.0.0"),
    .license = TEXT("Apache-2.0"),
    .components = components,
    .component_count = 1,
    .component_stride = sizeof(sabir_component),
};

SABIR_PLUGIN_EXPORT const sabir_plugin *sabir_plugin_entry_v1(uint32_t host_abi_major)
{
    return host_abi_major == SABIR_ABI_MAJOR ? &plugin : NULL;
}
