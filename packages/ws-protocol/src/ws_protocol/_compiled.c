/* The compiled form of _pure.py: the same functions, with the same results.

   There is nothing here that _pure.py doesn't have, and no rule of RFC 6455 but one: what a frame
   looks like that is a whole message. Whatever looks different is left to reader.py, in Python, and
   so are all errors of the peer. tests/test_kernel.py holds the two forms together.

   There is no state, not even of the module: every interpreter may have it. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

#define TEXT 0x81   /* fin and opcode of a whole text message */
#define BINARY 0x82 /* the same of a binary one */
#define RSV1 0x40
#define MASKED 0x80
#define MAX_HEADER_SIZE 14

/* Return the key twice, as 8 bytes of memory. */
static uint64_t
repeat_key(const unsigned char *key)
{
    uint64_t key8;
    unsigned char keys[8];

    memcpy(keys, key, 4);
    memcpy(keys + 4, key, 4);
    memcpy(&key8, keys, 8);
    return key8;
}

/* Mask size bytes with the key of 4 bytes, over and over. Return the OR of all results, so that the
   highest bit of one of its bytes is set if it is in any of them: then it isn't ASCII.

   Compilers make vector instructions of the first loop, because it is as plain as that, and to and
   from don't overlap. memcpy() is how C spells a load from wherever; none is called. */
static uint64_t
mask_bytes(unsigned char *restrict to, const unsigned char *restrict from, Py_ssize_t size,
           const unsigned char *key)
{
    uint64_t key8 = repeat_key(key), word, any = 0;
    unsigned char rest[8] = {0};
    Py_ssize_t words = size / 8, i;

    for (i = 0; i < words; i++) {
        memcpy(&word, from + 8 * i, 8);
        word ^= key8;
        any |= word;
        memcpy(to + 8 * i, &word, 8);
    }
    for (i = 8 * words; i < size; i++) {
        to[i] = rest[i & 7] = from[i] ^ key[i & 3];
    }
    memcpy(&word, rest, 8);
    return any | word;
}

/* The same, where the bytes are. */
static void
mask_in_place(unsigned char *data, Py_ssize_t size, const unsigned char *key)
{
    uint64_t key8 = repeat_key(key), word;
    Py_ssize_t words = size / 8, i;

    for (i = 0; i < words; i++) {
        memcpy(&word, data + 8 * i, 8);
        word ^= key8;
        memcpy(data + 8 * i, &word, 8);
    }
    for (i = 8 * words; i < size; i++) {
        data[i] ^= key[i & 3];
    }
}

static int
get_mask(PyObject *mask, unsigned char *key)
{
    Py_buffer view;

    if (PyObject_GetBuffer(mask, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    if (view.len != 4) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_ValueError, "mask must contain 4 bytes");
        return -1;
    }
    memcpy(key, view.buf, 4);
    PyBuffer_Release(&view);
    return 0;
}

static int
check_number_of_arguments(const char *name, Py_ssize_t number, Py_ssize_t expected)
{
    if (number == expected) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes %zd positional arguments but %zd were given", name,
                 expected, number);
    return -1;
}

PyDoc_STRVAR(apply_mask_doc,
             "apply_mask($module, /, data, mask)\n--\n\n"
             "Mask or unmask a payload: XOR it with the masking key, over and over.");

static PyObject *
apply_mask(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"data", "mask", NULL};
    unsigned char key[4];
    Py_buffer data;
    PyObject *mask, *masked;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*O:apply_mask", names, &data, &mask)) {
        return NULL;
    }
    if (get_mask(mask, key) < 0) {
        PyBuffer_Release(&data);
        return NULL;
    }
    masked = PyBytes_FromStringAndSize(NULL, data.len);
    if (masked != NULL) {
        mask_bytes((unsigned char *)PyBytes_AS_STRING(masked), data.buf, data.len, key);
    }
    PyBuffer_Release(&data);
    return masked;
}

/* Write the header of a frame, with the masking key if there is one. Return its size; -1 with an
   exception if it can't be. */
static Py_ssize_t
write_header(unsigned char *header, PyObject *first, Py_ssize_t size, PyObject *mask,
             unsigned char *key)
{
    long head = PyLong_AsLong(first);
    int bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;

    if (head < 0 || head > 255) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "head must be in range(0, 256)");
        }
        return -1;
    }
    header[0] = (unsigned char)head;
    header[1] = bytes == 0 ? (unsigned char)size : bytes == 2 ? 126 : 127;
    for (int i = 0; i < bytes; i++) {
        header[2 + i] = (unsigned char)((uint64_t)size >> 8 * (bytes - 1 - i));
    }
    if (mask == Py_None) {
        return 2 + bytes;
    }
    if (get_mask(mask, key) < 0) {
        return -1;
    }
    header[1] |= MASKED;
    memcpy(header + 2 + bytes, key, 4);
    return 2 + bytes + 4;
}

PyDoc_STRVAR(build_frame_doc,
             "build_frame($module, head, payload, mask, /)\n--\n\n"
             "Build a frame: header, masking key and payload.");

static PyObject *
build_frame(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t number)
{
    unsigned char key[4], header[MAX_HEADER_SIZE];
    Py_ssize_t header_size;
    Py_buffer payload;
    PyObject *frame = NULL;

    if (check_number_of_arguments("build_frame", number, 3) < 0
        || PyObject_GetBuffer(args[1], &payload, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    header_size = write_header(header, args[0], payload.len, args[2], key);
    if (header_size > 0 && payload.len > PY_SSIZE_T_MAX - header_size) {
        PyErr_NoMemory();
    }
    else if (header_size > 0) {
        frame = PyBytes_FromStringAndSize(NULL, header_size + payload.len);
    }
    if (frame != NULL) {
        unsigned char *to = (unsigned char *)PyBytes_AS_STRING(frame);

        memcpy(to, header, header_size);
        if (args[2] != Py_None) {
            mask_bytes(to + header_size, payload.buf, payload.len, key);
        }
        else if (payload.len > 0) {
            memcpy(to + header_size, payload.buf, payload.len);
        }
    }
    PyBuffer_Release(&payload);
    return frame;
}

/* Return a string; NULL without an exception if the payload isn't valid UTF-8. */
static PyObject *
read_text(const unsigned char *payload, Py_ssize_t size, const unsigned char *key)
{
    PyObject *text, *decoded;

    if (key == NULL || size == 0) {
        text = PyUnicode_DecodeUTF8((const char *)payload, size, NULL);
    }
    else {
        /* Most text is ASCII, and then what is unmasked is in its place already. */
        text = PyUnicode_New(size, 127);
        if (text == NULL) {
            return NULL;
        }
        if (mask_bytes(PyUnicode_1BYTE_DATA(text), payload, size, key) & 0x8080808080808080u) {
            decoded = PyUnicode_DecodeUTF8((const char *)PyUnicode_1BYTE_DATA(text), size, NULL);
            Py_DECREF(text);
            text = decoded;
        }
    }
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
    }
    return text;
}

static PyObject *
read_binary(const unsigned char *payload, Py_ssize_t size, const unsigned char *key)
{
    PyObject *binary;

    if (key == NULL) {
        return PyBytes_FromStringAndSize((const char *)payload, size);
    }
    binary = PyBytes_FromStringAndSize(NULL, size);
    if (binary != NULL) {
        mask_bytes((unsigned char *)PyBytes_AS_STRING(binary), payload, size, key);
    }
    return binary;
}

/* Replace a payload by the message that it makes. */
static PyObject *
decode_message(PyObject *decode, int head, PyObject *payload)
{
    PyObject *args[2] = {PyLong_FromLong(head), payload}, *message = NULL;

    if (args[0] != NULL) {
        message = PyObject_Vectorcall(decode, args, 2, NULL);
        Py_DECREF(args[0]);
    }
    Py_DECREF(payload);
    return message;
}

PyDoc_STRVAR(read_messages_doc,
             "read_messages($module, data, pos, end, until, limit, masked, max_size, decode, "
             "messages, /)\n"
             "--\n\n"
             "Read frames that are whole messages out of a chunk, up to one that isn't.");

/* What read_messages() was told about frames. */
struct wanted {
    int masked;
    Py_ssize_t max_size;
    PyObject *decode;
};

/* Read the frame at a position. Return where it ends, and the message in it; the same position if
   it isn't a whole message, and -1 with an exception. */
static Py_ssize_t
read_message(const unsigned char *data, Py_ssize_t pos, Py_ssize_t end,
             const struct wanted *wanted, PyObject **message)
{
    int head = data[pos], encoded = 0;
    Py_ssize_t size = data[pos + 1], start = pos + 2;
    const unsigned char *key = NULL;

    if (head == (TEXT | RSV1) || head == (BINARY | RSV1)) {
        encoded = wanted->decode != Py_None;
    }
    if ((head != TEXT && head != BINARY && !encoded) || (size >= MASKED) != wanted->masked) {
        return pos;
    }
    size &= MASKED - 1;
    if (size == 126) {
        if (end - start < 2) {
            return pos;
        }
        size = (Py_ssize_t)data[start] << 8 | data[start + 1];
        start += 2;
        if (size < 126) {
            return pos;
        }
    }
    else if (size == 127) {
        uint64_t long_size = 0;

        if (end - start < 8) {
            return pos;
        }
        for (int i = 0; i < 8; i++) {
            long_size = long_size << 8 | data[start + i];
        }
        start += 8;
        /* It must be in the chunk, which is also what makes it a Py_ssize_t. */
        if (long_size < 65536 || long_size > (uint64_t)(end - start)) {
            return pos;
        }
        size = (Py_ssize_t)long_size;
    }
    if (wanted->masked) {
        if (end - start < 4) {
            return pos;
        }
        key = data + start;
        start += 4;
    }
    if (size > end - start || size > wanted->max_size) {
        return pos;
    }
    *message = head == TEXT ? read_text(data + start, size, key)
                            : read_binary(data + start, size, key);
    if (encoded && *message != NULL) {
        *message = decode_message(wanted->decode, head, *message);
    }
    if (*message == NULL) {
        return PyErr_Occurred() ? -1 : pos;
    }
    return start + size;
}

/* Read frames one after another. Return where the last one ends; -1 with an exception. */
static Py_ssize_t
read_frames(const unsigned char *data, Py_ssize_t pos, Py_ssize_t end, Py_ssize_t until,
            Py_ssize_t limit, const struct wanted *wanted, PyObject *messages)
{
    for (; pos < until && end - pos >= 2 && limit > 0; limit--) {
        PyObject *message;
        Py_ssize_t next = read_message(data, pos, end, wanted, &message);
        int failed;

        if (next <= pos) {
            return next < 0 ? next : pos;
        }
        failed = PyList_Append(messages, message);
        Py_DECREF(message);
        if (failed < 0) {
            return -1;
        }
        pos = next;
    }
    return pos;
}

/* Add items to a queue, as what was raised before, if anything, goes on. Return -1 if that fails. */
static int
extend(PyObject *queue, PyObject *items)
{
    PyObject *type, *value, *traceback, *result;

    if (PyList_GET_SIZE(items) == 0) {
        return 0;
    }
    PyErr_Fetch(&type, &value, &traceback);
    result = PyObject_CallMethod(queue, "extend", "O", items);
    if (result == NULL) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return -1;
    }
    Py_DECREF(result);
    PyErr_Restore(type, value, traceback);
    return 0;
}

static PyObject *
read_messages(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t number)
{
    Py_buffer data;
    Py_ssize_t pos, end, until, limit;
    struct wanted wanted;
    PyObject *messages;

    if (check_number_of_arguments("read_messages", number, 9) < 0) {
        return NULL;
    }
    pos = PyLong_AsSsize_t(args[1]);
    end = PyLong_AsSsize_t(args[2]);
    until = PyLong_AsSsize_t(args[3]);
    limit = PyLong_AsSsize_t(args[4]);
    wanted.masked = PyObject_IsTrue(args[5]);
    wanted.max_size = PyLong_AsSsize_t(args[6]);
    wanted.decode = args[7];
    if (PyErr_Occurred() || PyObject_GetBuffer(args[0], &data, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (!(0 <= pos && pos <= end && end <= data.len)) {
        PyBuffer_Release(&data);
        PyErr_SetString(PyExc_ValueError, "pos and end must be in order, and in data");
        return NULL;
    }
    messages = PyList_CheckExact(args[8]) ? Py_NewRef(args[8]) : PyList_New(0);
    if (messages != NULL) {
        pos = read_frames(data.buf, pos, end, until, limit, &wanted, messages);
        if (messages != args[8] && extend(args[8], messages) < 0) {
            pos = -1;
        }
        Py_DECREF(messages);
    }
    PyBuffer_Release(&data);
    return messages == NULL || pos < 0 ? NULL : PyLong_FromSsize_t(pos);
}

PyDoc_STRVAR(are_messages_doc,
             "are_messages($module, items, /)\n--\n\n"
             "Tell whether items are messages, without a frame among them.");

static int
is_message(PyObject *item)
{
    return PyUnicode_CheckExact(item) || PyBytes_CheckExact(item);
}

static PyObject *
are_messages(PyObject *Py_UNUSED(module), PyObject *items)
{
    if (!PyList_Check(items)) {
        PyErr_SetString(PyExc_TypeError, "are_messages() takes a list");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        if (!is_message(PyList_GET_ITEM(items, i))) {
            Py_RETURN_FALSE;
        }
    }
    Py_RETURN_TRUE;
}

PyDoc_STRVAR(message_taker_doc,
             "message_taker($module, frames, low, /)\n--\n\n"
             "Return a function that takes the first message out of a queue, if that is simple.");

/* The function. What it knows stands where others have their module: the queue, how many items it
   leaves there, and what takes one out. */
static PyObject *
take_message(PyObject *known, PyObject *Py_UNUSED(args))
{
    PyObject *frames = PyTuple_GET_ITEM(known, 0), *first;
    Py_ssize_t size = PyObject_Size(frames), low = PyLong_AsSsize_t(PyTuple_GET_ITEM(known, 1));
    int simple;

    if (size < 0) {
        return NULL;
    }
    if (size == 0 || size - 1 <= low) {
        Py_RETURN_NONE;
    }
    first = PySequence_GetItem(frames, 0);
    if (first == NULL) {
        return NULL;
    }
    simple = is_message(first);
    Py_DECREF(first);
    if (!simple) {
        Py_RETURN_NONE;
    }
    return PyObject_CallNoArgs(PyTuple_GET_ITEM(known, 2));
}

static PyMethodDef take_message_method = {
    "take_message",
    take_message,
    METH_NOARGS,
    PyDoc_STR("take_message()\n--\n\nReturn the first message, or None."),
};

static PyObject *
message_taker(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t number)
{
    PyObject *popleft, *known, *taker = NULL;

    if (check_number_of_arguments("message_taker", number, 2) < 0
        || (PyLong_AsSsize_t(args[1]) == -1 && PyErr_Occurred())) {
        return NULL;
    }
    popleft = PyObject_GetAttrString(args[0], "popleft");
    if (popleft == NULL) {
        return NULL;
    }
    known = PyTuple_Pack(3, args[0], args[1], popleft);
    Py_DECREF(popleft);
    if (known != NULL) {
        taker = PyCFunction_New(&take_message_method, known);
        Py_DECREF(known);
    }
    return taker;
}

PyDoc_STRVAR(payload_buffer_doc,
             "PayloadBuffer(size, mask, /)\n--\n\n"
             "The payload of a frame that arrives in pieces.");

/* The bytes object that take() returns, in the making. It has room for what arrived, and for some
   more: memory that a peer announced to need, and never filled, isn't touched. */
typedef struct {
    PyObject_HEAD
    PyObject *payload; /* NULL before the first piece, and after take() */
    PyObject *taken;   /* what take() returned, as long as there are views of it; else NULL */
    Py_ssize_t size, filled, last;
    Py_ssize_t exports;
    int masked;
    unsigned char key[4];
} PayloadBuffer;

/* How many times as much room to make as what arrived takes, and how much to read into. */
#define GROWTH 16
#define ROOM_TO_READ 65536

static PyObject *
payload_buffer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t size;
    Py_buffer mask;
    PayloadBuffer *self;

    if ((kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0)
        || !PyArg_ParseTuple(args, "ny*:PayloadBuffer", &size, &mask)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "PayloadBuffer() takes no keyword arguments");
        }
        return NULL;
    }
    self = NULL;
    if (mask.len != 0 && mask.len != 4) {
        PyErr_SetString(PyExc_ValueError, "mask must contain 4 bytes");
    }
    else {
        self = (PayloadBuffer *)type->tp_alloc(type, 0);
    }
    if (self != NULL) {
        self->size = size;
        self->masked = mask.len == 4;
        memcpy(self->key, mask.buf, mask.len);
    }
    PyBuffer_Release(&mask);
    return (PyObject *)self;
}

static void
payload_buffer_dealloc(PayloadBuffer *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_XDECREF(self->payload);
    Py_XDECREF(self->taken);
    type->tp_free(self);
    Py_DECREF(type);
}

static unsigned char *
get_free(PayloadBuffer *self)
{
    return (unsigned char *)PyBytes_AS_STRING(self->payload) + self->filled;
}

/* Make room for some bytes more, and for others to come: more of them the more have arrived. */
static int
make_room(PayloadBuffer *self, Py_ssize_t more, Py_ssize_t growing)
{
    Py_ssize_t room = self->payload == NULL ? 0 : PyBytes_GET_SIZE(self->payload);
    Py_ssize_t least = self->filled + more;

    if (least <= room) {
        return 0;
    }
    if (self->exports > 0) {
        PyErr_SetString(PyExc_BufferError, "what is to be read into is in use");
        return -1;
    }
    room = self->size / GROWTH < growing ? self->size : GROWTH * growing;
    room = least > room ? least : room;
    if (self->payload == NULL) {
        self->payload = PyBytes_FromStringAndSize(NULL, room);
        return self->payload == NULL ? -1 : 0;
    }
    if (_PyBytes_Resize(&self->payload, room) < 0) {
        self->filled = self->last = 0;
        return -1;
    }
    return 0;
}

/* Unmask what stands after the bytes that are there, and count it to them. */
static void
take_in(PayloadBuffer *self, Py_ssize_t size)
{
    unsigned char key[4];

    if (self->masked) {
        mask_in_place(get_free(self), size, self->key);
        memcpy(key, self->key, 4);
        for (int i = 0; i < 4; i++) {
            self->key[i] = key[(i + size) & 3];
        }
    }
    self->filled += size;
    self->last = size;
}

static int
check_missing(PayloadBuffer *self, Py_ssize_t size)
{
    if (0 <= size && size <= self->size - self->filled) {
        return 0;
    }
    PyErr_SetString(PyExc_ValueError, "more bytes than are missing");
    return -1;
}

static PyObject *
payload_buffer_append(PayloadBuffer *self, PyObject *data)
{
    Py_buffer piece;
    int failed;

    if (PyObject_GetBuffer(data, &piece, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    failed = check_missing(self, piece.len) < 0 || make_room(self, piece.len, self->filled + piece.len) < 0;
    self->last = 0;
    if (!failed && piece.len > 0) {
        memcpy(get_free(self), piece.buf, piece.len);
        take_in(self, piece.len);
    }
    PyBuffer_Release(&piece);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
payload_buffer_get_buffer(PayloadBuffer *self, PyObject *Py_UNUSED(args))
{
    Py_ssize_t missing = self->size - self->filled;

    if (missing == 0) {
        PyErr_SetString(PyExc_ValueError, "nothing is missing");
        return NULL;
    }
    if (make_room(self, missing < ROOM_TO_READ ? missing : ROOM_TO_READ, self->filled) < 0) {
        return NULL;
    }
    return PyMemoryView_FromObject((PyObject *)self);
}

static PyObject *
payload_buffer_advance(PayloadBuffer *self, PyObject *number)
{
    Py_ssize_t size = PyLong_AsSsize_t(number);

    if ((size == -1 && PyErr_Occurred()) || check_missing(self, size) < 0) {
        return NULL;
    }
    if (self->payload == NULL || size > PyBytes_GET_SIZE(self->payload) - self->filled) {
        PyErr_SetString(PyExc_ValueError, "more bytes than there was room for");
        return NULL;
    }
    take_in(self, size);
    Py_RETURN_NONE;
}

static PyObject *
payload_buffer_take(PayloadBuffer *self, PyObject *Py_UNUSED(args))
{
    PyObject *payload = self->payload;

    if (self->filled < self->size || payload == NULL) {
        PyErr_SetString(PyExc_ValueError, "the payload isn't whole");
        return NULL;
    }
    self->payload = NULL;
    if (self->exports > 0) {
        /* Event loops let go of what they read into later. It must not be freed before. */
        self->taken = Py_NewRef(payload);
    }
    return payload;
}

static PyObject *
payload_buffer_get_last(PayloadBuffer *self, void *Py_UNUSED(closure))
{
    if (self->payload == NULL) {
        return PyBytes_FromStringAndSize(NULL, 0);
    }
    return PyBytes_FromStringAndSize((char *)get_free(self) - self->last, self->last);
}

static PyObject *
payload_buffer_get_missing(PayloadBuffer *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(self->size - self->filled);
}

static PyObject *
payload_buffer_get_size(PayloadBuffer *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSsize_t(self->size);
}

static int
payload_buffer_export(PayloadBuffer *self, Py_buffer *view, int flags)
{
    if (self->payload == NULL || self->filled == PyBytes_GET_SIZE(self->payload)) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "there is nothing to read into");
        return -1;
    }
    if (PyBuffer_FillInfo(view, (PyObject *)self, get_free(self),
                          PyBytes_GET_SIZE(self->payload) - self->filled, 0, flags)
        < 0) {
        return -1;
    }
    self->exports++;
    return 0;
}

static void
payload_buffer_release(PayloadBuffer *self, Py_buffer *Py_UNUSED(view))
{
    self->exports--;
    if (self->exports == 0) {
        Py_CLEAR(self->taken);
    }
}

/* These functions have other types than the table says, which is how it is meant. The cast goes by
   void (*)(void) so that compilers don't object. */
#define FUNCTION(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef methods[] = {
    {"apply_mask", FUNCTION(apply_mask), METH_VARARGS | METH_KEYWORDS, apply_mask_doc},
    {"build_frame", FUNCTION(build_frame), METH_FASTCALL, build_frame_doc},
    {"are_messages", are_messages, METH_O, are_messages_doc},
    {"message_taker", FUNCTION(message_taker), METH_FASTCALL, message_taker_doc},
    {"read_messages", FUNCTION(read_messages), METH_FASTCALL, read_messages_doc},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef payload_buffer_methods[] = {
    {"append", FUNCTION(payload_buffer_append), METH_O,
     PyDoc_STR("append($self, piece, /)\n--\n\nUnmask and keep a piece.")},
    {"get_buffer", FUNCTION(payload_buffer_get_buffer), METH_NOARGS,
     PyDoc_STR("get_buffer($self, /)\n--\n\nReturn what the next piece can be read into.")},
    {"advance", FUNCTION(payload_buffer_advance), METH_O,
     PyDoc_STR("advance($self, size, /)\n--\n\nUnmask and keep what was read into the buffer.")},
    {"take", FUNCTION(payload_buffer_take), METH_NOARGS,
     PyDoc_STR("take($self, /)\n--\n\nReturn the payload, once it is whole.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef payload_buffer_attributes[] = {
    {"last", (getter)payload_buffer_get_last, NULL, PyDoc_STR("The latest piece."), NULL},
    {"size", (getter)payload_buffer_get_size, NULL, PyDoc_STR("Size of the payload."), NULL},
    {"missing", (getter)payload_buffer_get_missing, NULL,
     PyDoc_STR("How many bytes are missing."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot payload_buffer_slots[] = {
    {Py_tp_doc, (void *)payload_buffer_doc},
    {Py_tp_new, payload_buffer_new},
    {Py_tp_dealloc, payload_buffer_dealloc},
    {Py_tp_methods, payload_buffer_methods},
    {Py_tp_getset, payload_buffer_attributes},
    {Py_bf_getbuffer, payload_buffer_export},
    {Py_bf_releasebuffer, payload_buffer_release},
    {0, NULL},
};

/* It refers to nothing that refers to anything, so that it can't be part of a cycle. */
static PyType_Spec payload_buffer_spec = {
    .name = "ws_protocol._compiled.PayloadBuffer",
    .basicsize = sizeof(PayloadBuffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = payload_buffer_slots,
};

static int
execute(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &payload_buffer_spec, NULL);
    int failed = type == NULL ? -1 : PyModule_AddType(module, (PyTypeObject *)type);

    Py_XDECREF(type);
    return failed;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#ifdef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED /* Python 3.12 */
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ws_protocol._compiled",
    .m_doc = "The compiled form of what touches every byte.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&definition);
}
