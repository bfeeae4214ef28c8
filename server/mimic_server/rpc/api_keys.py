"""ApiKeyService."""

from __future__ import annotations

from mimic.v1 import teams_pb2 as pb
from mimic.v1.teams_pb2_grpc import ApiKeyServiceServicer

from mimic_server.domain.ids import ApiKeyId
from mimic_server.rpc.calls import Context, caller
from mimic_server.rpc.convert import requests
from mimic_server.rpc.convert import teams as convert
from mimic_server.services.api_keys import ApiKeyService


class ApiKeyServicer(ApiKeyServiceServicer):
    """API keys of the caller's team."""

    def __init__(self, api_keys: ApiKeyService) -> None:
        self._api_keys = api_keys

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        spec = convert.read_api_key(request.api_key, "api_key")
        created = await self._api_keys.create(caller(), spec, requests.request_id(request.request_id))
        return pb.CreateApiKeyResponse(api_key=convert.api_key(created.api_key), key=created.key or "")

    async def GetApiKey(self, request: pb.GetApiKeyRequest, context: Context) -> pb.GetApiKeyResponse:
        api_key = await self._api_keys.get(caller(), _api_key_id(request.api_key_id))
        return pb.GetApiKeyResponse(api_key=convert.api_key(api_key))

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        listing = await self._api_keys.list(caller(), requests.page(request.page_size, request.page_token))
        return pb.ListApiKeysResponse(
            api_keys=map(convert.api_key, listing.items), next_page_token=listing.next_token
        )

    async def UpdateApiKey(
        self, request: pb.UpdateApiKeyRequest, context: Context
    ) -> pb.UpdateApiKeyResponse:
        api_key_id = _api_key_id(request.api_key.id, "api_key.id")
        patch = requests.patch(request.api_key, request.update_mask, "api_key", fixed=convert.FIXED_OF_KEY)
        api_key = await self._api_keys.update(caller(), api_key_id, patch)
        return pb.UpdateApiKeyResponse(api_key=convert.api_key(api_key))

    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, context: Context
    ) -> pb.RevokeApiKeyResponse:
        api_key = await self._api_keys.revoke(caller(), _api_key_id(request.api_key_id))
        return pb.RevokeApiKeyResponse(api_key=convert.api_key(api_key))


def _api_key_id(text: str, field: str = "api_key_id") -> ApiKeyId:
    return ApiKeyId(requests.uuid(text, field))
