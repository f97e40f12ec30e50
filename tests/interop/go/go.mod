module interop

go 1.26.0

require (
	cirello.io/dynamolock/v5 v5.0.0
	github.com/aws/aws-sdk-go-v2 v1.43.6
	github.com/aws/aws-sdk-go-v2/service/dynamodb v1.63.3
	github.com/kmdeveloping/dynalock v0.0.0-20240825015646-eda9e012f787
)

require (
	github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue v1.20.61 // indirect
	github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression v1.8.61 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.4.37 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.7.37 // indirect
	github.com/aws/aws-sdk-go-v2/service/dynamodbstreams v1.36.6 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.17 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/endpoint-discovery v1.12.14 // indirect
	github.com/aws/smithy-go v1.27.8 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/kmdeveloping/encrypticon v0.1.7 // indirect
)
