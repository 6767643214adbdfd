// Stand-ins for the small providers that the public modules ask for besides aws: cloudinit, null, random, time, tls.
//
// Where no registry can be reached, only hashicorp/aws lies in a mirror. These have the arguments that the modules
// use and do next to nothing: identifiers and certificates are fixed texts, nothing sleeps, nothing is looked up.
// One program serves all five; its own file name says which one it is: terraform-provider-NAME_vVERSION.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	dataschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

const (
	standIn     = "57616e6420696e00"                         // for every computed text
	fingerprint = "0000000000000000000000000000000000000000" // for every certificate
)

func kept() []planmodifier.String {
	return []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
}

func computed() schema.StringAttribute {
	return schema.StringAttribute{Computed: true, PlanModifiers: kept()}
}

func texts() schema.MapAttribute {
	return schema.MapAttribute{Optional: true, ElementType: types.StringType}
}

var resources = map[string]map[string]schema.Attribute{
	"null_resource": {"id": computed(), "triggers": texts()},
	"random_id": {
		"id": computed(), "hex": computed(), "dec": computed(), "b64_std": computed(), "b64_url": computed(),
		"keepers": texts(), "byte_length": schema.Int64Attribute{Required: true}, "prefix": schema.StringAttribute{Optional: true},
	},
	"time_sleep": {
		"id": computed(), "triggers": texts(),
		"create_duration": schema.StringAttribute{Optional: true}, "destroy_duration": schema.StringAttribute{Optional: true},
	},
}

var certificate = map[string]dataschema.Attribute{
	"sha1_fingerprint": dataschema.StringAttribute{Computed: true},
	"cert_pem":         dataschema.StringAttribute{Computed: true},
	"subject":          dataschema.StringAttribute{Computed: true},
	"issuer":           dataschema.StringAttribute{Computed: true},
	"is_ca":            dataschema.BoolAttribute{Computed: true},
}

var dataSources = map[string]dataschema.Schema{
	"tls_certificate": {Attributes: map[string]dataschema.Attribute{
		"id":           dataschema.StringAttribute{Computed: true},
		"url":          dataschema.StringAttribute{Optional: true},
		"content":      dataschema.StringAttribute{Optional: true},
		"verify_chain": dataschema.BoolAttribute{Optional: true},
		"certificates": dataschema.ListNestedAttribute{
			Computed: true, NestedObject: dataschema.NestedAttributeObject{Attributes: certificate},
		},
	}},
	"cloudinit_config": {
		Attributes: map[string]dataschema.Attribute{
			"id":            dataschema.StringAttribute{Computed: true},
			"rendered":      dataschema.StringAttribute{Computed: true},
			"boundary":      dataschema.StringAttribute{Optional: true},
			"gzip":          dataschema.BoolAttribute{Optional: true},
			"base64_encode": dataschema.BoolAttribute{Optional: true},
		},
		Blocks: map[string]dataschema.Block{
			"part": dataschema.ListNestedBlock{NestedObject: dataschema.NestedBlockObject{
				Attributes: map[string]dataschema.Attribute{
					"content":      dataschema.StringAttribute{Required: true},
					"content_type": dataschema.StringAttribute{Optional: true},
					"filename":     dataschema.StringAttribute{Optional: true},
					"merge_type":   dataschema.StringAttribute{Optional: true},
				},
			}},
		},
	},
}

// settle gives every value that Terraform does not know yet the fixed text, or null where it is no text.
func settle(plan tftypes.Value) (tftypes.Value, error) {
	return tftypes.Transform(plan, func(_ *tftypes.AttributePath, value tftypes.Value) (tftypes.Value, error) {
		switch {
		case value.IsKnown():
			return value, nil
		case value.Type().Is(tftypes.String):
			return tftypes.NewValue(tftypes.String, standIn), nil
		default:
			return tftypes.NewValue(value.Type(), nil), nil
		}
	})
}

type thing struct{ name string }

func (t *thing) Metadata(_ context.Context, _ resource.MetadataRequest, answer *resource.MetadataResponse) {
	answer.TypeName = t.name
}

func (t *thing) Schema(_ context.Context, _ resource.SchemaRequest, answer *resource.SchemaResponse) {
	answer.Schema = schema.Schema{Attributes: resources[t.name]}
}

func (t *thing) Create(_ context.Context, asked resource.CreateRequest, answer *resource.CreateResponse) {
	state, err := settle(asked.Plan.Raw)
	if err != nil {
		answer.Diagnostics.AddError("stand-in", err.Error())
	}
	answer.State.Raw = state
}

func (t *thing) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (t *thing) Update(_ context.Context, asked resource.UpdateRequest, answer *resource.UpdateResponse) {
	state, err := settle(asked.Plan.Raw)
	if err != nil {
		answer.Diagnostics.AddError("stand-in", err.Error())
	}
	answer.State.Raw = state
}

func (t *thing) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

type source struct{ name string }

func (s *source) Metadata(_ context.Context, _ datasource.MetadataRequest, answer *datasource.MetadataResponse) {
	answer.TypeName = s.name
}

func (s *source) Schema(_ context.Context, _ datasource.SchemaRequest, answer *datasource.SchemaResponse) {
	answer.Schema = dataSources[s.name]
}

// Read copies the configuration and fills what is computed.
func (s *source) Read(_ context.Context, asked datasource.ReadRequest, answer *datasource.ReadResponse) {
	values := map[string]tftypes.Value{}
	if err := asked.Config.Raw.As(&values); err != nil {
		answer.Diagnostics.AddError("stand-in", err.Error())
		return
	}
	for _, name := range []string{"id", "rendered"} {
		if _, has := values[name]; has {
			values[name] = tftypes.NewValue(tftypes.String, standIn)
		}
	}
	if list, has := values["certificates"]; has {
		one := list.Type().(tftypes.List).ElementType
		values["certificates"] = tftypes.NewValue(list.Type(), []tftypes.Value{tftypes.NewValue(one, map[string]tftypes.Value{
			"sha1_fingerprint": tftypes.NewValue(tftypes.String, fingerprint),
			"cert_pem":         tftypes.NewValue(tftypes.String, ""),
			"subject":          tftypes.NewValue(tftypes.String, ""),
			"issuer":           tftypes.NewValue(tftypes.String, ""),
			"is_ca":            tftypes.NewValue(tftypes.Bool, true),
		})})
	}
	answer.State.Raw = tftypes.NewValue(asked.Config.Raw.Type(), values)
}

type standInProvider struct{ name string }

func (p *standInProvider) Metadata(_ context.Context, _ provider.MetadataRequest, answer *provider.MetadataResponse) {
	answer.TypeName = p.name
}

func (p *standInProvider) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse) {}

func (p *standInProvider) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {
}

func (p *standInProvider) Resources(context.Context) []func() resource.Resource {
	var made []func() resource.Resource
	for name := range resources {
		if strings.HasPrefix(name, p.name+"_") {
			made = append(made, func() resource.Resource { return &thing{name} })
		}
	}
	return made
}

func (p *standInProvider) DataSources(context.Context) []func() datasource.DataSource {
	var made []func() datasource.DataSource
	for name := range dataSources {
		if strings.HasPrefix(name, p.name+"_") {
			made = append(made, func() datasource.DataSource { return &source{name} })
		}
	}
	return made
}

func main() {
	name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-"), "_")
	options := providerserver.ServeOpts{Address: "terraform.example/hashicorp/" + name, ProtocolVersion: 6}
	make := func() provider.Provider { return &standInProvider{name} }
	if err := providerserver.Serve(context.Background(), make, options); err != nil {
		log.Fatal(err)
	}
}
