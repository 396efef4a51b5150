import FoundationEssentials
import HTTPTypes
import HummingbirdCore
import NIOCore
import Sealing

extension HTTPField.Name {
    static let session = HTTPField.Name("Efs-Session")!
    static let efsModified = HTTPField.Name("Efs-Modified")!
    static let efsMode = HTTPField.Name("Efs-Mode")!
    static let contentDigest = HTTPField.Name("Content-Digest")!
    static let reprDigest = HTTPField.Name("Repr-Digest")!
    static let efsHint = HTTPField.Name("Efs-Hint")!
    static let wantReprDigest = HTTPField.Name("Want-Repr-Digest")!
}

extension Response {
    static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok, type: String = "application/json") throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return Response(
            status: status, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try encoder.encode(value))))
    }

    /// As `application/problem+json`.
    static func problem(_ problem: Problem) -> Response {
        guard var response = try? json(problem.body, status: problem.status, type: "application/problem+json") else {
            return Response(status: .internalServerError)
        }
        for field in problem.headers { response.headers.append(field) }
        return response
    }
}

extension Problem {
    /// As `Response.problem`, for who writes to a channel: the last answer of its connection.
    var encoded: (head: HTTPResponse, body: ByteBuffer) {
        let bytes = (try? JSONEncoder().encode(body)) ?? Data()
        var fields = headers
        fields[.contentType] = "application/problem+json"
        fields[.contentLength] = String(bytes.count)
        fields[.connection] = "close"
        return (HTTPResponse(status: status, headerFields: fields), ByteBuffer(bytes: bytes))
    }
}

/// The target of a request, taken apart.
struct RequestTarget: Sendable {
    /// Still percent-encoded.
    let path: String
    private let query: Substring

    init(_ target: String) {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts.first ?? "")
        query = parts.count > 1 ? parts[1] : ""
    }

    private static func decode(_ text: Substring) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next(), let low = rest.next(),
                let decoded = Hexadecimal.decode(String(decoding: [high, low], as: UTF8.self))
            else { return nil }
            bytes += decoded
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The first value of the name, decoded; nil if it is not there or its encoding is broken.
    func value(_ name: String) -> String? {
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts[0] == name else { continue }
            return parts.count > 1 ? Self.decode(parts[1]) : ""
        }
        return nil
    }
}

/// Reads JSON bodies, which are short.
enum RequestJSON {
    static let largestSizeBytes = 64 << 10

    static func read<T: Decodable>(_ type: T.Type, _ body: RequestBody) async throws(Problem) -> T {
        let bytes: ByteBuffer
        do { bytes = try await body.collect(upTo: largestSizeBytes) } catch is NIOTooManyBytesError {
            throw .tooLarge
        } catch { throw .cutBody(error) }
        do { return try JSONDecoder().decode(type, from: Data(bytes.readableBytesView)) } catch {
            throw .badRequest("the body is not the JSON that this needs")
        }
    }
}
