import FoundationEssentials
import NIOCore
import NIOHTTP1
public import Sealing

/// An upload that goes on after a cut, also in another process (tus 1.0.0). Nobody sees the file until it is complete.
public struct ResumableUpload: Sendable, Hashable, Codable {
    /// The upload's own path on the server.
    public var location: String
    public var sizeBytes: UInt64
}

extension EFSClient {
    private static let tus = ("Tus-Resumable", "1.0.0")

    /// Begins an upload of `sizeBytes` to `path`. The condition is checked again when it completes.
    public func createUpload(
        _ path: RemotePath, sizeBytes: UInt64, attributes: FileAttributes = FileAttributes(), condition: WriteCondition = .always
    ) async throws -> ResumableUpload {
        var members = [("path", path.bytes)]
        if let modified = attributes.modified {
            members.append(("modified", Array(Self.timestamp(modified, attributes.modifiedNanoseconds).utf8)))
        }
        if let mode = attributes.mode { members.append(("mode", Array(Self.octal(mode).utf8))) }
        switch condition {
        case .always: break
        case .ifAbsent: members.append(("ifNoneMatch", Array("*".utf8)))
        case .ifMatches(let etag): members.append(("ifMatch", Array(etag.utf8)))
        }
        let metadata = members.map { "\($0.0) \(Data($0.1).base64EncodedString())" }.joined(separator: ",")
        let request = ClientRequest(
            method: .POST, uri: "/v1/uploads",
            headers: [Self.tus, ("Upload-Length", String(sizeBytes)), ("Upload-Metadata", metadata)])
        let host = configuration.host
        return try await send(request) { head, _ in
            guard let location = head.headers.first(name: "Location"), location.hasPrefix("/v1/uploads/"),
                location.utf8.allSatisfy({ RemotePath.isUnreserved($0) || $0 == UInt8(ascii: "/") })
            else { throw ClientError.malformed(host: host, what: "an upload without a place") }
            return ResumableUpload(location: location, sizeBytes: sizeBytes)
        }
    }

    /// How many bytes the server has for sure. Throws a problem 404 if the upload is finished, ended or expired.
    public func uploadOffset(_ upload: ResumableUpload) async throws -> UInt64 {
        let host = configuration.host
        return try await send(ClientRequest(method: .HEAD, uri: upload.location, headers: [Self.tus])) { head, _ in
            guard let offset = head.headers.first(name: "Upload-Offset").flatMap({ UInt64($0) }), offset <= upload.sizeBytes else {
                throw ClientError.malformed(host: host, what: "an upload without an offset")
            }
            return offset
        }
    }

    /// Sends `sizeBytes` bytes that belong at `offset`. The part that reaches the upload's size completes the file. Returns the
    /// new offset.
    /// - Parameter sha256: of the part; the server keeps nothing else then, also nothing of a part that is cut.
    public func sendPart(
        _ upload: ResumableUpload, at offset: UInt64, sizeBytes: UInt64, sha256: Digest32? = nil, body: @escaping BodySource
    ) async throws -> UInt64 {
        var request = ClientRequest(
            method: .PATCH, uri: upload.location,
            headers: [Self.tus, ("Content-Type", "application/offset+octet-stream"), ("Upload-Offset", String(offset))],
            body: .stream(sizeBytes: sizeBytes, body))
        if let sha256 { request.headers.append(("Upload-Checksum", "sha256 \(Data(sha256.bytes).base64EncodedString())")) }
        return try await send(request) { head, _ in
            head.headers.first(name: "Upload-Offset").flatMap { UInt64($0) } ?? offset + sizeBytes
        }
    }

    public func abandon(_ upload: ResumableUpload) async throws {
        try await send(ClientRequest(method: .DELETE, uri: upload.location, headers: [Self.tus])) { _, _ in }
    }
}
