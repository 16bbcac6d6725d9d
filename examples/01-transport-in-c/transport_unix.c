/* SPDX-License-Identifier: Apache-2.0
 *
 * A transport in C: unix:///path/to.sock, links over Unix domain sockets.
 *
 * Everything that a plugin author needs is in sabir_plugin.h; nothing of the broker is linked. Read from the bottom:
 * the entry point answers a descriptor, the descriptor names one component, the component has a table of functions,
 * and these give listeners and links with tables of their own. README.md walks the same way.
 */
#define _GNU_SOURCE /* accept4, struct ucred */
#include "sabir_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SCHEME "unix"
#define LOG_TARGET "transport-unix"
#define DEFAULT_BACKLOG 1024
#define MAX_BACKLOG 65535
#define MAX_MODE 0777
/* Longest path with its terminating NUL, as the system has it. */
#define PATH_BYTES sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* A slice of a string literal. */
#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* ---- Errors -------------------------------------------------------------------------------------------------- */

/* The text of an error belongs to whoever asked for it; this is its reference count and its bytes. */
struct text {
  atomic_size_t references;
  char bytes[];
};

static void text_retain(void *owner) {
  struct text *text = owner;
  atomic_fetch_add_explicit(&text->references, 1, memory_order_relaxed);
}

static void text_release(void *owner) {
  struct text *text = owner;
  if (atomic_fetch_sub_explicit(&text->references, 1, memory_order_acq_rel) == 1)
    free(text);
}

/* Fills `error`, if the caller wants it, and answers `code`: `return fail(...)` ends a function. */
__attribute__((format(printf, 4, 5))) static int64_t fail(sabir_error *error, int64_t code, bool retryable,
                                                          const char *format, ...) {
  if (error == NULL)
    return code;
  error->code = code;
  error->retryable = retryable;
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (length < 0)
    return code;
  size_t bytes = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
  struct text *text = malloc(sizeof *text + bytes);
  if (text == NULL)
    return code; /* An error without its text is still an error. */
  atomic_init(&text->references, 1);
  memcpy(text->bytes, line, bytes);
  error->message = (sabir_bytes){.ptr = (const uint8_t *)text->bytes,
                                 .len = bytes,
                                 .owner = text,
                                 .retain = text_retain,
                                 .release = text_release};
  return code;
}

static bool no_resources(int number) {
  return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS;
}

/* A failed system call in the words of the contract. */
static int64_t fail_errno(sabir_error *error, int number, const char *doing, const char *path) {
  int64_t code = SABIR_ERR_IO;
  bool retryable = false;
  if (no_resources(number)) {
    code = SABIR_ERR_LIMIT;
    retryable = true;
  } else if (number == EPIPE || number == ECONNRESET || number == ENOTCONN) {
    code = SABIR_ERR_CLOSED;
  } else if (number == EACCES || number == EPERM) {
    code = SABIR_ERR_DENIED;
  } else if (number == ECONNREFUSED || number == ENOENT) {
    retryable = true; /* Nobody listens there yet. */
  }
  return fail(error, code, retryable, "%s %s: %s", doing, path, strerror(number));
}

/* ---- Addresses ----------------------------------------------------------------------------------------------- */

/* What stands in unix:///path?mode=0660&backlog=100. */
struct address {
  char path[PATH_BYTES];
  unsigned mode; /* UINT_MAX: as the umask gives it */
  int backlog;
};

/* Reads a number within bounds; the text need not end with NUL. */
static bool read_number(const char *text, size_t length, unsigned base, unsigned long largest, unsigned long *out) {
  unsigned long number = 0;
  if (length == 0)
    return false;
  for (size_t at = 0; at < length; at++) {
    if (text[at] < '0' || (unsigned)(text[at] - '0') >= base)
      return false;
    number = number * base + (unsigned)(text[at] - '0');
    if (number > largest)
      return false;
  }
  *out = number;
  return true;
}

/* Reads one name=value. */
static int64_t read_option(const char *option, size_t length, struct address *address, sabir_error *error) {
  const char *equals = memchr(option, '=', length);
  size_t name = equals == NULL ? length : (size_t)(equals - option);
  const char *value = equals == NULL ? option + length : equals + 1;
  size_t value_length = length - (size_t)(value - option);
  unsigned long number;
  if (name == 4 && memcmp(option, "mode", name) == 0) {
    if (!read_number(value, value_length, 8, MAX_MODE, &number))
      return fail(error, SABIR_ERR_CONFIG, false, "option \"mode\": an octal number up to 0777 is expected");
    address->mode = (unsigned)number;
    return SABIR_OK;
  }
  if (name == 7 && memcmp(option, "backlog", name) == 0) {
    if (!read_number(value, value_length, 10, MAX_BACKLOG, &number) || number == 0)
      return fail(error, SABIR_ERR_CONFIG, false, "option \"backlog\": a number from 1 to %d is expected", MAX_BACKLOG);
    address->backlog = (int)number;
    return SABIR_OK;
  }
  return fail(error, SABIR_ERR_CONFIG, false, "unknown option \"%.*s\": known are mode and backlog",
              (int)(name < 100 ? name : 100), option);
}

static int64_t read_address(sabir_slice uri, struct address *address, sabir_error *error) {
  static const char prefix[] = SCHEME "://";
  const size_t prefix_length = sizeof prefix - 1;
  const char *text = (const char *)uri.ptr;
  if (uri.len < prefix_length || memcmp(text, prefix, prefix_length) != 0)
    return fail(error, SABIR_ERR_CONFIG, false, "not an address of this transport: expected " SCHEME ":///path");
  const char *path = text + prefix_length;
  size_t rest = uri.len - prefix_length;
  const char *question = memchr(path, '?', rest);
  size_t length = question == NULL ? rest : (size_t)(question - path);
  if (length == 0 || path[0] != '/')
    return fail(error, SABIR_ERR_CONFIG, false, "expected an absolute path, as in " SCHEME ":///run/sabir.sock");
  if (length >= PATH_BYTES)
    return fail(error, SABIR_ERR_CONFIG, false, "the path has %zu bytes; the system takes %zu", length,
                PATH_BYTES - 1);
  for (size_t at = 0; at < length; at++)
    if ((unsigned char)path[at] < ' ' || path[at] == 0x7f)
      return fail(error, SABIR_ERR_CONFIG, false, "the path contains a control character");
  memcpy(address->path, path, length);
  address->path[length] = '\0';
  address->mode = UINT_MAX;
  address->backlog = DEFAULT_BACKLOG;

  const char *at = question == NULL ? path + length : question + 1;
  const char *end = text + uri.len;
  while (at < end) {
    const char *next = memchr(at, '&', (size_t)(end - at));
    size_t option = (size_t)((next == NULL ? end : next) - at);
    int64_t status = option == 0 ? SABIR_OK : read_option(at, option, address, error);
    if (status != SABIR_OK)
      return status;
    at += option + 1;
  }
  return SABIR_OK;
}

static struct sockaddr_un socket_address(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, strlen(path) + 1); /* read_address has checked the length */
  return address;
}

static int new_socket(void) {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* ---- Links --------------------------------------------------------------------------------------------------- */

#define MAX_ATTRIBUTES 5

struct link {
  const sabir_host *host;
  sabir_io *io;
  int fd;
  uint32_t attribute_count;
  sabir_attribute attributes[MAX_ATTRIBUTES];
  /* What the attributes point at. */
  char path[PATH_BYTES];
  char process[32];
  char uid[16];
  char pid[16];
};

static sabir_attributes link_attributes(void *object) {
  const struct link *link = object;
  return (sabir_attributes){
      .ptr = link->attributes, .count = link->attribute_count, .stride = sizeof(sabir_attribute)};
}

/* Reading and writing: the host makes the system calls, within its reactor's readiness guard. */

static int64_t link_poll_read(void *object, const sabir_waker *waker, uint8_t *buffer, uintptr_t length,
                              sabir_chunk_info *info, sabir_error *error) {
  struct link *link = object;
  if (info != NULL) {
    info->flags = 0; /* A stream has no boundaries. */
    info->exchange_id = 0;
    info->peer_id = 0;
  }
  return link->host->io_poll_recv(link->host->ctx, link->io, waker, buffer, length, error);
}

static int64_t link_poll_write(void *object, const sabir_waker *waker, const sabir_iovec *iov, uintptr_t count,
                               const sabir_chunk_info *info, sabir_error *error) {
  struct link *link = object;
  (void)info;
  return link->host->io_poll_sendv(link->host->ctx, link->io, waker, iov, count, error);
}

static int64_t link_poll_shutdown(void *object, const sabir_waker *waker, sabir_error *error) {
  struct link *link = object;
  (void)waker;
  /* ENOTCONN: the peer has gone, and with it the writing half. */
  if (shutdown(link->fd, SHUT_WR) != 0 && errno != ENOTCONN)
    return fail_errno(error, errno, "cannot end writing to", link->path);
  return SABIR_OK;
}

static void link_drop(void *object) {
  struct link *link = object;
  link->host->io_deregister(link->host->ctx, link->io); /* before the descriptor is closed */
  close(link->fd);
  free(link);
}

/* Slots that stay NULL: poll_ready (ready from the start), poll_flush (nothing is buffered), poll_send_file. */
static const sabir_link_vtable LINK_VTABLE = {
    .struct_size = sizeof(sabir_link_vtable),
    .framing = SABIR_FRAMING_STREAM,
    .attributes = link_attributes,
    .poll_read = link_poll_read,
    .poll_write = link_poll_write,
    .poll_shutdown = link_poll_shutdown,
    .drop = link_drop,
};

static sabir_slice slice_of(const char *text) {
  return (sabir_slice){.ptr = (const uint8_t *)text, .len = strlen(text)};
}

static void add_attribute(struct link *link, const char *name, const char *value) {
  link->attributes[link->attribute_count++] = (sabir_attribute){.name = slice_of(name), .value = slice_of(value)};
}

/* Who is at the other end, as the kernel vouches for it. */
static void describe_link(struct link *link, bool accepted) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  bool known = getsockopt(link->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  /* Only the listening end has a path; the other is named by its process. */
  long process = accepted ? (known ? (long)peer.pid : 0) : (long)getpid();
  snprintf(link->process, sizeof link->process, "pid:%ld", process);
  add_attribute(link, "scheme", SCHEME);
  add_attribute(link, "local", accepted ? link->path : link->process);
  add_attribute(link, "peer", accepted ? link->process : link->path);
  if (!known)
    return;
  snprintf(link->uid, sizeof link->uid, "%lu", (unsigned long)peer.uid);
  snprintf(link->pid, sizeof link->pid, "%ld", (long)peer.pid);
  add_attribute(link, "peer_uid", link->uid);
  add_attribute(link, "peer_pid", link->pid);
}

/* Makes a link of a connected socket. Takes `fd` in every case. */
static int64_t open_link(const sabir_host *host, int fd, const char *path, bool accepted, sabir_link *out,
                         sabir_error *error) {
  struct link *link = calloc(1, sizeof *link);
  if (link == NULL) {
    close(fd);
    return fail_errno(error, ENOMEM, "cannot open a link on", path);
  }
  int64_t status = host->io_register(host->ctx, fd, &link->io, error);
  if (status != SABIR_OK) {
    close(fd);
    free(link);
    return status;
  }
  link->host = host;
  link->fd = fd;
  memcpy(link->path, path, strlen(path) + 1);
  describe_link(link, accepted);
  *out = (sabir_link){.object = link, .vtable = &LINK_VTABLE};
  return SABIR_OK;
}

/* ---- Listeners ----------------------------------------------------------------------------------------------- */

struct listener {
  const sabir_host *host;
  sabir_io *io;
  int fd;
  /* The socket file that this listener made: another may stand in its place when it is time to remove it. */
  dev_t device;
  ino_t inode;
  char path[PATH_BYTES];
};

static sabir_slice listener_local_address(void *object) {
  return slice_of(((const struct listener *)object)->path);
}

/* What the operation below brings back. */
struct accepted {
  int listener;
  int link;
  int number; /* errno */
};

/* Runs within the reactor's readiness guard: SABIR_PENDING means that the system call found nobody. */
static int64_t try_accept(void *argument) {
  struct accepted *accepted = argument;
  do {
    accepted->link = accept4(accepted->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (accepted->link < 0 && errno == EINTR);
  if (accepted->link >= 0)
    return SABIR_OK;
  accepted->number = errno;
  return errno == EAGAIN || errno == EWOULDBLOCK ? SABIR_PENDING : SABIR_ERR_IO;
}

static int64_t listener_poll_accept(void *object, const sabir_waker *waker, sabir_link *out, sabir_error *error) {
  struct listener *listener = object;
  const sabir_host *host = listener->host;
  struct accepted accepted = {.listener = listener->fd, .link = -1};
  int64_t status = host->io_poll_op(host->ctx, listener->io, SABIR_INTEREST_READ, waker, try_accept, &accepted);
  if (status == SABIR_PENDING)
    return SABIR_PENDING;
  if (status < 0) {
    if (accepted.number == 0)
      return fail(error, status, false, "cannot accept on %s: the host's reactor refused", listener->path);
    return fail_errno(error, accepted.number, "cannot accept on", listener->path);
  }
  return open_link(host, accepted.link, listener->path, true, out, error);
}

/* Removes the socket file, if it is the one that was made with this listener. */
static void remove_socket_file(const struct listener *listener) {
  struct stat found;
  if (lstat(listener->path, &found) == 0 && found.st_dev == listener->device && found.st_ino == listener->inode)
    unlink(listener->path);
}

static void listener_drop(void *object) {
  struct listener *listener = object;
  if (listener->io != NULL)
    listener->host->io_deregister(listener->host->ctx, listener->io);
  remove_socket_file(listener);
  close(listener->fd);
  free(listener);
}

static const sabir_listener_vtable LISTENER_VTABLE = {
    .struct_size = sizeof(sabir_listener_vtable),
    .local_address = listener_local_address,
    .poll_accept = listener_poll_accept,
    .drop = listener_drop,
};

/* A socket file stays when its process is killed. It is stale when it is a socket and nobody answers there. */
static bool is_stale(const struct sockaddr_un *address) {
  struct stat found;
  if (lstat(address->sun_path, &found) != 0 || !S_ISSOCK(found.st_mode))
    return false;
  int probe = new_socket();
  if (probe < 0)
    return false;
  bool refused =
      connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
  close(probe);
  return refused;
}

static int bind_socket(int fd, const struct sockaddr_un *address) {
  if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0)
    return 0;
  if (errno != EADDRINUSE)
    return -1;
  if (!is_stale(address) || unlink(address->sun_path) != 0) {
    errno = EADDRINUSE;
    return -1;
  }
  return bind(fd, (const struct sockaddr *)address, sizeof *address);
}

static int64_t address_error(sabir_error *error, int number, const char *path) {
  if (no_resources(number))
    return fail_errno(error, number, "cannot listen on", path);
  const char *hint = number == EADDRINUSE ? " (another program, or another listener of this one, has this path)" : "";
  return fail(error, SABIR_ERR_ADDRESS, false, "cannot listen on %s: %s%s", path, strerror(number), hint);
}

static void log_listening(const sabir_host *host, const char *path) {
  if (host->log == NULL || host->log_level == NULL)
    return;
  const sabir_slice target = TEXT(LOG_TARGET);
  if (host->log_level(host->ctx, target) < SABIR_LOG_DEBUG)
    return; /* Ask before any text is made. */
  const sabir_slice text = TEXT("the socket file is there");
  const sabir_attribute field = {.name = TEXT("path"), .value = slice_of(path)};
  host->log(host->ctx, SABIR_LOG_DEBUG, target, text, (sabir_attributes){&field, 1, sizeof field});
}

/* ---- The transport ------------------------------------------------------------------------------------------- */

struct transport {
  const sabir_host *host;
};

static int64_t transport_listen(void *object, sabir_slice uri, sabir_listener *out, sabir_error *error) {
  const sabir_host *host = ((const struct transport *)object)->host;
  struct address asked;
  int64_t status = read_address(uri, &asked, error);
  if (status != SABIR_OK)
    return status;
  struct listener *listener = calloc(1, sizeof *listener);
  if (listener == NULL)
    return fail_errno(error, ENOMEM, "cannot listen on", asked.path);
  listener->host = host;
  memcpy(listener->path, asked.path, sizeof listener->path);
  listener->fd = new_socket();
  struct sockaddr_un address = socket_address(asked.path);
  if (listener->fd < 0 || bind_socket(listener->fd, &address) != 0) {
    status = address_error(error, errno, asked.path);
    if (listener->fd >= 0)
      close(listener->fd);
    free(listener);
    return status;
  }
  struct stat made;
  if (lstat(asked.path, &made) == 0) {
    listener->device = made.st_dev;
    listener->inode = made.st_ino;
  }
  /* From here on, listener_drop undoes everything. The mode is set before anybody can connect. */
  if ((asked.mode != UINT_MAX && chmod(asked.path, asked.mode) != 0) || listen(listener->fd, asked.backlog) != 0)
    status = address_error(error, errno, asked.path);
  else
    status = host->io_register(host->ctx, listener->fd, &listener->io, error);
  if (status != SABIR_OK) {
    listener_drop(listener);
    return status;
  }
  log_listening(host, asked.path);
  *out = (sabir_listener){.object = listener, .vtable = &LISTENER_VTABLE};
  return SABIR_OK;
}

static int64_t transport_connect(void *object, sabir_slice uri, sabir_link *out, sabir_error *error) {
  const sabir_host *host = ((const struct transport *)object)->host;
  struct address asked;
  int64_t status = read_address(uri, &asked, error);
  if (status != SABIR_OK)
    return status;
  int fd = new_socket();
  if (fd < 0)
    return fail_errno(error, errno, "cannot connect to", asked.path);
  /* On this medium connecting is done at once or not at all; EAGAIN means that the backlog is full. */
  struct sockaddr_un address = socket_address(asked.path);
  if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    int number = errno;
    close(fd);
    if (number == EAGAIN)
      return fail(error, SABIR_ERR_LIMIT, true, "cannot connect to %s: too many links wait there", asked.path);
    return fail_errno(error, number, "cannot connect to", asked.path);
  }
  return open_link(host, fd, asked.path, false, out, error);
}

/* A host may be older than this plugin: a function is called only if its table is long enough and has it. */
#define HOST_HAS(host, function)                                                                                  \
  (offsetof(sabir_host, function) + sizeof((host)->function) <= (host)->struct_size && (host)->function != NULL)

static int64_t transport_open(const sabir_host *host, sabir_slice config, void **out, sabir_error *error) {
  (void)config; /* There is nothing to set: what can be set stands in the address. */
  if (!HOST_HAS(host, io_register) || !HOST_HAS(host, io_poll_op) || !HOST_HAS(host, io_poll_recv) ||
      !HOST_HAS(host, io_poll_sendv) || !HOST_HAS(host, io_deregister))
    return fail(error, SABIR_ERR_UNSUPPORTED, false, "this transport needs a host with a reactor");
  struct transport *transport = malloc(sizeof *transport);
  if (transport == NULL)
    return fail_errno(error, ENOMEM, "cannot open", "the transport");
  transport->host = host;
  *out = transport;
  return SABIR_OK;
}

static void transport_close(void *object) {
  free(object);
}

/* Slots that stay NULL: wrap_listener and wrap_link; this transport stands on no other. */
static const sabir_transport_vtable TRANSPORT_VTABLE = {
    .struct_size = sizeof(sabir_transport_vtable),
    .open = transport_open,
    .listen = transport_listen,
    .connect = transport_connect,
    .close = transport_close,
};

/* ---- The descriptor and the entry point ---------------------------------------------------------------------- */

static const sabir_component COMPONENTS[] = {{
    .kind = SABIR_KIND_TRANSPORT,
    .name = TEXT(SCHEME),
    .capabilities = SABIR_CAP_TRANSPORT_LISTEN | SABIR_CAP_TRANSPORT_CONNECT | SABIR_CAP_TRANSPORT_HALF_CLOSE |
                    SABIR_CAP_TRANSPORT_LOCAL_ONLY,
    .required_host_capabilities = SABIR_CAP_HOST_REACTOR,
    .vtable = &TRANSPORT_VTABLE,
}};

static const sabir_plugin PLUGIN = {
    .magic = SABIR_PLUGIN_MAGIC,
    .struct_size = sizeof(sabir_plugin),
    .abi_major = SABIR_ABI_MAJOR,
    .abi_minor = SABIR_ABI_MINOR,
    .name = TEXT("transport-unix"),
    .version = TEXT("0.1.0"),
    .license = TEXT("Apache-2.0"),
    .vendor = TEXT("an example"),
    .description = TEXT("unix:// links over Unix domain sockets"),
    .components = COMPONENTS,
    .component_count = sizeof COMPONENTS / sizeof COMPONENTS[0],
    .component_stride = sizeof COMPONENTS[0],
};

/* The one symbol that a plugin exports. */
__attribute__((visibility("default"))) const sabir_plugin *sabir_plugin_entry_v1(uint32_t host_abi_major);

const sabir_plugin *sabir_plugin_entry_v1(uint32_t host_abi_major) {
  return host_abi_major == SABIR_ABI_MAJOR ? &PLUGIN : NULL;
}
