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

/* Mask size bytes with the key of 4 bytes, over and over. Return the OR of all results, so that the
   highest bit of one of its bytes is set if it is in any of them: then it isn't ASCII.

   Compilers make vector instructions of the first loop, because it is as plain as that, and to and
   from don't overlap. memcpy() is how C spells a load from wherever; none is called. */
static uint64_t
mask_bytes(unsigned char *restrict to, const unsigned char *restrict from, Py_ssize_t size,
           const unsigned char *key)
{
    uint64_t key8, word, any = 0;
    unsigned char keys[8], rest[8] = {0};
    Py_ssize_t words = size / 8, i;

    memcpy(keys, key, 4);
    memcpy(keys + 4, key, 4);
    memcpy(&key8, keys, 8);
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
             "read_messages($module, data, pos, masked, max_size, decode, messages, /)\n--\n\n"
             "Read frames that are whole messages out of a chunk, up to one that isn't.");

static PyObject *
read_messages(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t number)
{
    const unsigned char *data;
    Py_ssize_t pos, end, max_size;
    int masked;
    PyObject *decode, *messages;

    if (check_number_of_arguments("read_messages", number, 6) < 0) {
        return NULL;
    }
    decode = args[4];
    messages = args[5];
    if (!PyBytes_Check(args[0]) || !PyList_Check(messages)) {
        PyErr_SetString(PyExc_TypeError, "read_messages() takes bytes and a list");
        return NULL;
    }
    data = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    end = PyBytes_GET_SIZE(args[0]);
    pos = PyLong_AsSsize_t(args[1]);
    masked = PyObject_IsTrue(args[2]);
    max_size = PyLong_AsSsize_t(args[3]);
    if (masked < 0 || PyErr_Occurred()) {
        return NULL;
    }
    if (pos < 0) {
        PyErr_SetString(PyExc_ValueError, "pos must be at least 0");
        return NULL;
    }
    while (end - pos >= 2) {
        int head = data[pos];
        Py_ssize_t size = data[pos + 1], start = pos + 2;
        const unsigned char *key = NULL;
        PyObject *message;
        int encoded = 0, failed;

        if (head == (TEXT | RSV1) || head == (BINARY | RSV1)) {
            encoded = decode != Py_None;
        }
        if ((head != TEXT && head != BINARY && !encoded) || (size >= MASKED) != masked) {
            break;
        }
        size &= MASKED - 1;
        if (size == 126) {
            if (end - start < 2) {
                break;
            }
            size = (Py_ssize_t)data[start] << 8 | data[start + 1];
            start += 2;
            if (size < 126) {
                break;
            }
        }
        else if (size == 127) {
            uint64_t long_size = 0;

            if (end - start < 8) {
                break;
            }
            for (int i = 0; i < 8; i++) {
                long_size = long_size << 8 | data[start + i];
            }
            start += 8;
            /* It must be in the chunk, which is also what makes it a Py_ssize_t. */
            if (long_size < 65536 || long_size > (uint64_t)(end - start)) {
                break;
            }
            size = (Py_ssize_t)long_size;
        }
        if (masked) {
            if (end - start < 4) {
                break;
            }
            key = data + start;
            start += 4;
        }
        if (size > end - start || size > max_size) {
            break;
        }
        message = head == TEXT ? read_text(data + start, size, key)
                               : read_binary(data + start, size, key);
        if (encoded && message != NULL) {
            message = decode_message(decode, head, message);
        }
        if (message == NULL) {
            if (PyErr_Occurred()) {
                return NULL;
            }
            break;
        }
        failed = PyList_Append(messages, message);
        Py_DECREF(message);
        if (failed < 0) {
            return NULL;
        }
        pos = start + size;
    }
    return PyLong_FromSsize_t(pos);
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

static PyModuleDef_Slot slots[] = {
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
