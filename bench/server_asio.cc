/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_asio.cc - Boost.Asio with one io_context run by one thread, its locks off,
 * and sockets that know their executor's type.
 *
 * Each session has one buffer and at most one operation under way, and that operation
 * owns it: a handler that starts no other lets the session go, and the socket with
 * it. All whole frames of a read are answered by one write, tried at once; a frame
 * that does not fit is read straight into memory of the session's own and answered
 * from there.
 *
 * Backpressure: what the system did not take at once is written by
 * async_write_some(), and only its end starts the next read.
 */
#include "serve.h"

#include <algorithm>
#include <boost/asio.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using executor = asio::io_context::executor_type;
using socket_type = asio::basic_stream_socket<tcp, executor>;
using acceptor_type = asio::basic_socket_acceptor<tcp, executor>;

static const size_t buffer_size = 64 * 1024;
static bool sink;

class session {
public:
	/* The operations under way pass it on from one to the next. */
	using owner = std::unique_ptr<session>;

	explicit session(socket_type &&connected)
	    : socket(std::move(connected))
	{
		socket.set_option(tcp::no_delay(true));
		socket.non_blocking(true);
	}

	static void read(owner self);

private:
	static void write(owner self);
	static void received(owner self, error_code error, size_t n);
	asio::mutable_buffer room();
	bool serve_frames(size_t n);
	bool serve_large(size_t n);
	bool begin_large(size_t frame_size);
	void answer_tally();
	bool answer(const unsigned char *bytes, size_t len);
	void count(size_t payload);

	socket_type socket;
	asio::const_buffer unsent;
	bool last = false;		/* nothing to read after what is unsent */
	struct tally tally = {};
	size_t begin = 0, end = 0;	/* in buffer: what is not answered yet */
	std::unique_ptr<unsigned char[]> large;	/* once such a frame came */
	size_t have = 0, whole = 0;	/* of it; whole is 0 while none is read */
	unsigned char buffer[buffer_size];
};

void session::count(size_t payload)
{
	tally.frames++;
	tally.bytes += payload;
}

/* What is unsent stays where it is: nothing is read meanwhile. */
bool session::answer(const unsigned char *bytes, size_t len)
{
	error_code error;

	unsent = asio::buffer(bytes, len);
	unsent += socket.write_some(unsent, error);
	return !error || error == asio::error::would_block;
}

/* Of one of which a part is all that is left in the buffer. */
bool session::begin_large(size_t frame_size)
{
	if (!large)
		large.reset(new unsigned char[HEAD_LEN + FRAME_MAX]);
	have = end - begin;
	whole = frame_size;
	memcpy(large.get(), buffer + begin, have);
	begin = end;
	return true;
}

bool session::serve_large(size_t n)
{
	const size_t frame_size = whole;

	have += n;
	if (have < whole)
		return true;
	whole = 0;
	count(frame_size - HEAD_LEN);
	return sink || answer(large.get(), frame_size);
}

/* The whole frames at hand. */
bool session::serve_frames(size_t n)
{
	const size_t from = begin;
	size_t frame_size = 0;

	end += n;
	while (end - begin >= HEAD_LEN) {
		frame_size = HEAD_LEN + get_u32(buffer + begin);
		if (frame_size > HEAD_LEN + FRAME_MAX)
			return false;
		if (end - begin < frame_size)
			break;
		count(frame_size - HEAD_LEN);
		begin += frame_size;
	}
	if (!sink && begin > from && !answer(buffer + from, begin - from))
		return false;
	return end - begin < HEAD_LEN || frame_size <= buffer_size
	    || begin_large(frame_size);
}

void session::answer_tally()
{
	put_tally(buffer, &tally);
	last = true;
	if (!answer(buffer, HEAD_LEN + TALLY_LEN))
		unsent = {};
}

/* Where the next bytes go. */
asio::mutable_buffer session::room()
{
	if (whole > 0)
		return asio::buffer(large.get() + have, whole - have);
	end -= begin;
	memmove(buffer, buffer + begin, end);
	begin = 0;
	return asio::buffer(buffer + end, buffer_size - end);
}

void session::received(owner self, error_code error, size_t n)
{
	session &s = *self;

	if (error == asio::error::eof && sink)
		s.answer_tally();
	else if (error)
		return;
	else if (!(s.whole > 0 ? s.serve_large(n) : s.serve_frames(n)))
		return;
	if (s.unsent.size() > 0)
		write(std::move(self));
	else if (!s.last)
		read(std::move(self));
}

void session::read(owner self)
{
	session &s = *self;

	s.socket.async_read_some(s.room(),
	    [self = std::move(self)](error_code error, size_t n) mutable {
		    received(std::move(self), error, n);
	    });
}

void session::write(owner self)
{
	session &s = *self;

	s.socket.async_write_some(s.unsent,
	    [self = std::move(self)](error_code error, size_t n) mutable {
		    if (error)
			    return;
		    self->unsent += n;
		    if (self->unsent.size() > 0)
			    write(std::move(self));
		    else if (!self->last)
			    read(std::move(self));
	    });
}

class listener {
public:
	listener(asio::io_context &context, unsigned short port)
	    : acceptor(context, { asio::ip::address_v4::loopback(), port }, true)
	    , rest(context)
	{
		acceptor.listen(4096);
	}

	unsigned short port() const
	{
		return acceptor.local_endpoint().port();
	}

	void accept()
	{
		acceptor.async_accept([this](error_code error, socket_type connected) {
			if (error) {
				accept_later();
				return;
			}
			accept();
			session::read(std::make_unique<session>(std::move(connected)));
		});
	}

private:
	/* Out of descriptors, most likely: in a while there may be some again. */
	void accept_later()
	{
		rest.expires_after(std::chrono::milliseconds(100));
		rest.async_wait([this](error_code) { accept(); });
	}

	acceptor_type acceptor;
	asio::steady_timer rest;
};

int main(int argc, char **argv)
{
	struct serve_args args;

	serve_parse(argc, argv, &args);
	sink = args.sink;
	try {
		asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
		listener listener(context, args.port);

		listener.accept();
		serve_say(listener.port());
		for (;;) {
			try {
				context.run();
				return 0;
			} catch (const std::exception &error) {
				/* the connection it came from is gone by now */
				fprintf(stderr, "%s\n", error.what());
			}
		}
	} catch (const std::exception &error) {
		fprintf(stderr, "%s\n", error.what());
		return 1;
	}
}
